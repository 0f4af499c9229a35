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


def last_cycle_of(directory: Path) -> str | None:
    """Return the cycle of the last record; None where there is none. Raises OSError."""
    for path in _files_from_the_last(directory):
        if (file := opened(path)) is None:
            continue
        with file:
            for line in _lines_from_the_end(file, file.seek(0, 2), _LOOKED_THROUGH):
                if cycle_id := _record(line).get("cycle_id"):
                    return str(cycle_id)
    return None


@dataclass(frozen=True, slots=True)
class LaterRecords:
    """Records in their order. `after`: the last one of a cycle that is known; None where the trail has none."""

    records: tuple[dict[str, Any], ...]
    after: dict[str, Any] | None = None


def records_after(directory: Path, is_known: Callable[[str], bool]) -> LaterRecords:
    """Return the records that follow the last one of a cycle that is known.

    As far as the trail goes back, and no further than a great many. Raises OSError.
    """
    found: list[dict[str, Any]] = []
    asked: dict[str, bool] = {}
    left = _LOOKED_THROUGH
    for path in _files_from_the_last(directory):
        if (file := opened(path)) is None:
            continue
        with file:
            end = file.seek(0, 2)
            for line in _lines_from_the_end(file, end, max(0, left)):
                record = _record(line)
                cycle_id = str(record.get("cycle_id") or "")
                if cycle_id and cycle_id not in asked:
                    asked[cycle_id] = is_known(cycle_id)
                if asked.get(cycle_id):
                    return LaterRecords(tuple(found[::-1]), record)
                found.append(record)
            left -= end
    return LaterRecords(tuple(found[::-1]))


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
