"""The audit trail read from its end: what was done about somebody last."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from agent.observe.audit_file import FILE_NAME, files_put_aside
from agent.observe.audit_search import members_of, opened

_BLOCK = 1 << 18
_LOOKED_THROUGH = 1 << 26  # bytes


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
    left = within
    for path in _files_from_the_last(directory):
        if (file := opened(path)) is None:
            continue
        with file:
            end = file.seek(0, 2)
            for line in _lines_from_the_end(file, end, left):
                if any(number in line for number in numbers) and _is_about(record := _record(line), entries):
                    found.append(record)
                    if len(found) == few:
                        return LastRecords(tuple(found))
        left -= end
        if left < 0:
            return LastRecords(tuple(found), reaches_back=False)
    return LastRecords(tuple(found))


def last_record_of(directory: Path) -> dict[str, Any] | None:
    """Return the last record that names its cycle; None where there is none. Raises OSError."""
    return _last_record(directory, lambda _cycle_id: True).after


@dataclass(frozen=True, slots=True)
class LaterRecords:
    """The records that follow a certain one. Iterate over them, once or again, in their order: that raises OSError.

    after:   the record that they follow; None: they are all that the trail has
    places:  the files they are in, and where in each they begin
    """

    after: dict[str, Any] | None
    places: tuple[tuple[Path, int], ...]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for path, start in self.places:
            if (file := opened(path)) is None:
                continue
            with file:
                file.seek(start)
                yield from (_record(line) for line in file)


def records_after(directory: Path, is_known: Callable[[str], bool]) -> LaterRecords:
    """Return the records that follow the last one of a cycle that is known, however far back that is. Raises OSError.

    The trail is looked through from its end for that one, and nothing of the rest is kept: it may be long.
    """
    asked: dict[str, bool] = {}

    def asked_once(cycle_id: str) -> bool:
        if cycle_id not in asked:
            asked[cycle_id] = is_known(cycle_id)
        return asked[cycle_id]

    return _last_record(directory, asked_once)


def _last_record(directory: Path, is_meant: Callable[[str], bool]) -> LaterRecords:
    places: list[tuple[Path, int]] = []
    for path in _files_from_the_last(directory):
        if (file := opened(path)) is None:
            continue
        with file:
            end = file.seek(0, 2)
            begin = end + 1  # of the line after the one that is looked at
            for line in _lines_from_the_end(file, end, end):
                record = _record(line)
                if (cycle_id := record.get("cycle_id")) and is_meant(str(cycle_id)):
                    return LaterRecords(record, ((path, min(begin, end)), *places[::-1]))
                begin -= len(line) + 1
        places.append((path, 0))
    return LaterRecords(None, tuple(places[::-1]))


def _files_from_the_last(directory: Path) -> list[Path]:
    try:
        aside = files_put_aside(directory)
    except FileNotFoundError:
        return []
    return [directory / FILE_NAME, *reversed(aside)]


def _is_about(record: dict[str, Any], entries: Collection[int]) -> bool:
    return record.get("entry") in entries or any(member.get("entry") in entries for member in members_of(record))


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
