"""The files of the audit trail: one that is written, and those that were put aside because it had grown.

A record is one line and is in one file, whole. A line that a power cut or a full disk has left half is not built upon:
what follows begins on a line of its own, and readers leave the half one out.
"""

from __future__ import annotations

import contextlib
import os
import re
from datetime import MAXYEAR, UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

import structlog

from agent.errors import StateProblem
from agent.operating_system import open_private_file

FILE_NAME = "audit.jsonl"
_ASIDE = re.compile(r"audit-(\d{8}-\d{6})\.jsonl", re.ASCII)
_STAMP = "%Y%m%d-%H%M%S"

log = structlog.get_logger()


def files_put_aside(directory: Path) -> list[Path]:
    """Return the files that are not written any more, the oldest first. Raises OSError."""
    return sorted(path for path in directory.iterdir() if _put_aside_at(path) is not None)


class AuditFile:
    """Appends lines. Use as a context manager; one process at a time does (agent/operating_system.py).

    max_size:  bytes after which the file is put aside
    keep:      how long it is kept then
    now:       the time that is believed for that, if it is not the clock's
    """

    def __init__(
        self, directory: Path, max_size: int, keep: timedelta | Literal["for ever"], now: datetime | None = None
    ) -> None:
        self.path = directory / FILE_NAME
        self._max_size = self._limit = max_size
        self._keep, self._now = keep, now

    def __enter__(self) -> Self:
        self._open()
        self._forget_the_old()
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def append(self, line: bytes) -> None:
        """Hand one line to the operating system, so that a killed process loses none.

        Raises StateProblem; then nothing of the line is left in the file.
        """
        if self._size and self._size + len(line) > self._limit:
            self._put_aside()
        rest = memoryview(line)
        try:
            # A disk that is nearly full takes a part.
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise StateProblem(
                f"The audit trail {self.path} cannot be written: {error.strerror}. No more was sent upstream, because "
                "every write there has to be on record. Make room on the disk, or correct the rights of the file; "
                "the next cycle goes on."
            ) from error
        self._size += len(line)

    def _open(self) -> None:
        self._file = open_private_file(self.path, "a+b")
        self._size = self._file.seek(0, os.SEEK_END)
        if self._size:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self.append(b"\n")

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # what is no ordinary file cannot be made to last
            os.fsync(self._file.fileno())
        self._file.close()

    def _put_aside(self) -> None:
        self._close()  # Windows renames no file that is open
        try:
            self.path.rename(self._next_name())
            self._limit = self._max_size
        except OSError as error:
            # On Windows somebody reads it just now. It goes on growing for a while.
            self._limit = self._size + self._max_size
            log.warning("the audit trail goes on in the same file", file=str(self.path), reason=error.strerror)
        self._open()
        self._forget_the_old()

    def _next_name(self) -> Path:
        """Name a file by the time it is put aside, but later than all others: they are read in the order of names."""
        now = datetime.now(UTC)
        aside = files_put_aside(self.path.parent)
        if aside and (last := _put_aside_at(aside[-1])):
            now = max(now, last + timedelta(seconds=1))
        return self.path.with_name(f"audit-{now.strftime(_STAMP)}.jsonl")

    def _forget_the_old(self) -> None:
        if self._keep == "for ever":
            return
        before = (self._now or datetime.now(UTC)) - self._keep
        try:
            for path in files_put_aside(self.path.parent):
                if (at := _put_aside_at(path)) and at < before:
                    path.unlink(missing_ok=True)
                    log.info("an old file of the audit trail is deleted", file=str(path))
        except OSError as error:
            log.warning("an old file of the audit trail cannot be deleted", reason=str(error))


def _put_aside_at(path: Path) -> datetime | None:
    """Return when a file was put aside; None for one that somebody else has named."""
    match = _ASIDE.fullmatch(path.name)
    try:
        at = datetime.strptime(match[1] if match else "", _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return at if at.year < MAXYEAR else None
