"""The log of the service, in a file that does not grow for ever: a service of Windows has no standard error."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TextIO

_LARGEST = 10_000_000  # bytes
_KEPT = 5  # files before the one that is written


class LogFile(io.TextIOBase):
    """Takes the place of sys.stderr. What cannot be written is lost: no log is worth a cycle."""

    def __init__(self, path: Path, largest: int = _LARGEST) -> None:
        self._path = path
        self._largest = largest
        self._file: TextIO | None = None

    def writable(self) -> bool:
        """See io.IOBase."""
        return True

    def write(self, text: str) -> int:
        """See io.TextIOBase. A file that has reached its size is renamed at the end of a line."""
        with contextlib.suppress(OSError):
            file = self._open()
            file.write(text)
            file.flush()
            if text.endswith("\n") and file.tell() >= self._largest:
                self._begin_anew(file)
        return len(text)

    def close(self) -> None:
        """See io.IOBase."""
        if self._file is not None:
            self._file.close()
        self._file = None
        super().close()

    def _open(self) -> TextIO:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8", errors="backslashreplace")
        return self._file

    def _begin_anew(self, file: TextIO) -> None:
        file.close()  # Windows renames no file that is open
        self._file = None
        names = [self._path, *(self._path.with_suffix(f".{number}.log") for number in range(1, _KEPT + 1))]
        for newer, older in zip(names[-2::-1], names[:0:-1], strict=True):
            # One that somebody reads just now cannot be renamed; the log goes on growing then.
            if newer.exists():
                newer.replace(older)
