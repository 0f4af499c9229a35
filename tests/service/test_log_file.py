"""The log of a service that has no standard error."""

from __future__ import annotations

from pathlib import Path

from agent.service.windows.log_file import LogFile


def test_a_log_begins_anew_at_its_size_and_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "rollcall.log"
    log = LogFile(path, largest=20)

    for number in range(10):
        print(f"line {number}, which is long enough", file=log)
    print("short", file=log)
    log.close()

    assert path.read_text() == "short\n"
    kept = [path.with_suffix(f".{number}.log").read_text() for number in range(1, 6)]
    assert kept == [f"line {number}, which is long enough\n" for number in (9, 8, 7, 6, 5)]
    assert len(list(path.parent.iterdir())) == 6


def test_a_line_is_never_divided_between_two_files(tmp_path: Path) -> None:
    path = tmp_path / "rollcall.log"
    log = LogFile(path, largest=5)

    log.write("the first part, ")
    log.write("the second\n")
    log.close()

    assert path.with_suffix(".1.log").read_text() == "the first part, the second\n"


def test_what_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the directory should be")
    log = LogFile(tmp_path / "logs" / "rollcall.log")

    assert log.write("lost\n") == 5
