"""The files of the audit trail: no record is lost or split, however they are put aside, read and cut off."""

from __future__ import annotations

import json
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import StateProblem, UsageProblem
from agent.observe.audit_file import AuditFile
from agent.observe.audit_search import records_of

KEEP = timedelta(days=400)


def line(number: int, length: int = 100) -> bytes:
    return json.dumps({"number": number, "fill": "x" * length}).encode() + b"\n"


def numbers(directory: Path) -> list[int]:
    return [record["number"] for record in records_of(directory, [])]


def test_a_reader_beside_the_writer_misses_no_record_and_meets_none_twice(tmp_path: Path) -> None:
    written = threading.Event()

    def write() -> None:
        with AuditFile(tmp_path, 700, "for ever") as file:
            for number in range(400):
                file.append(line(number))
        written.set()

    (tmp_path / "audit.jsonl").touch()
    writer = threading.Thread(target=write)
    writer.start()
    seen: list[list[int]] = []
    while not written.is_set():
        seen.append(numbers(tmp_path))
    writer.join()

    assert numbers(tmp_path) == list(range(400))
    assert [found for found in seen if found != list(range(len(found)))] == []
    # Windows renames no file that somebody reads: there it goes on in the same one, until nobody does.
    assert len(list(tmp_path.glob("audit-*.jsonl"))) > (5 if sys.platform == "win32" else 50)


def test_a_file_that_cannot_be_put_aside_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError(13, "it is open in another process")

    with AuditFile(tmp_path, 300, KEEP) as file:
        with monkeypatch.context() as windows:
            windows.setattr(Path, "rename", refuse)
            for number in range(5):
                file.append(line(number))
        for number in range(5, 12):
            file.append(line(number))

    assert numbers(tmp_path) == list(range(12))
    assert list(tmp_path.glob("audit-*.jsonl"))


def test_it_is_closed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, closed = Path.rename, []

    def watched(path: Path, target: Path) -> Path:
        closed.append(file._file.closed)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watched)
    with AuditFile(tmp_path, 200, KEEP) as file:
        for number in range(3):
            file.append(line(number))

    assert closed
    assert all(closed)


def test_of_a_record_that_found_no_room_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditFile(tmp_path, 10_000, KEEP) as file:
        file.append(line(0))
        ordinary = file._file

        class NearlyFull:
            def write(self, rest: memoryview) -> int:
                if len(rest) < 100:
                    raise OSError(28, "No space left on device")
                return ordinary.write(rest[:60])

            def truncate(self, size: int) -> int:
                return ordinary.truncate(size)

        with monkeypatch.context() as full:
            full.setattr(file, "_file", NearlyFull())
            with pytest.raises(StateProblem, match="No space left on device"):
                file.append(line(1))
        file.append(line(2))

    assert numbers(tmp_path) == [0, 2]
    assert (tmp_path / "audit.jsonl").read_bytes() == line(0) + line(2)


def test_names_grow_though_the_clock_is_set_back(tmp_path: Path) -> None:
    (tmp_path / "audit-20991231-235959.jsonl").write_bytes(line(0))
    (tmp_path / "audit-99999999-999999.jsonl").write_bytes(b"somebody else's\n")
    with AuditFile(tmp_path, 150, KEEP) as file:
        for number in range(1, 4):
            file.append(line(number))

    assert numbers(tmp_path) == [0, 1, 2, 3]


def test_a_trail_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").mkdir()

    with pytest.raises(UsageProblem, match="cannot be read"):
        numbers(tmp_path)
