"""The audit trail: one JSON line for every write upstream, appended and never changed (invariant 14)."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

import orjson

from agent.operating_system import open_private_file

FILE_NAME = "audit.jsonl"
_BLOCK = 1 << 18
_LOOKED_THROUGH = 1 << 26  # bytes


class AuditTrail:
    """Appends records. Each is handed to the operating system at once, so a killed process loses none."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE_NAME
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._file = open_private_file(self.path, "ab")
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def record(self, **what: object) -> None:
        """Append one record; the time is added."""
        line = orjson.dumps({"at": datetime.now(UTC).isoformat(), **what}, default=str) + b"\n"
        with self._lock:
            self._file.write(line)


@dataclass(frozen=True, slots=True)
class LastRecords:
    """The last records about some entries, the newest first. `reaches_back`: none is missing for want of time."""

    records: tuple[dict[str, Any], ...] = ()
    reaches_back: bool = True


def last_records(directory: Path, entries: Collection[int], few: int, within: int = _LOOKED_THROUGH) -> LastRecords:
    """Read the trail from its end: at most `few` records about these entries, and no more than `within` bytes.

    A line that is being written at that moment is left out. Raises OSError; that there is no trail is no error.
    """
    found: list[dict[str, Any]] = []
    numbers = [str(number).encode() for number in entries]
    try:
        file = (directory / FILE_NAME).open("rb")
    except FileNotFoundError:
        return LastRecords()
    with file:
        end = file.seek(0, 2)
        for line in _lines_from_the_end(file, end, within):
            if not any(number in line for number in numbers):
                continue
            record = _record(line)
            if record.get("entry") in entries or not set(record.get("members", ())).isdisjoint(entries):
                found.append(record)
                if len(found) == few:
                    return LastRecords(tuple(found))
    return LastRecords(tuple(found), reaches_back=end <= within)


def _lines_from_the_end(file: IO[bytes], end: int, within: int) -> Iterator[bytes]:
    """Yield whole lines, the last first."""
    position, first = end, max(0, end - within)
    pieces: list[bytes] = []  # of a line whose beginning has not been read yet, the last first
    while position > first:
        size = min(_BLOCK, position - first)
        position -= size
        file.seek(position)
        head, *lines = file.read(size).split(b"\n")
        if lines:
            yield b"".join([lines.pop(), *reversed(pieces)])
            pieces = []
            yield from reversed(lines)
        pieces.append(head)
    if position == 0:
        yield b"".join(reversed(pieces))


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}
