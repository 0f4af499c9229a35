"""Files that are there whole or not at all: settings, secrets, units."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StateProblem


@dataclass(frozen=True, slots=True)
class FileToWrite:
    """A file with its rights. group: a number; -1 leaves it as it comes. On Windows it has those of its directory."""

    path: Path
    text: str
    mode: int
    group: int = -1


def write_whole(path: Path, text: str, mode: int, group: int = -1) -> None:
    """Write a file so that it is there whole or not at all, with its rights from the beginning. Raises StateProblem."""
    write_together([FileToWrite(path, text, mode, group)])


def write_together(files: Iterable[FileToWrite]) -> None:
    """Write files, in their order, each whole; if one cannot be written, what was there before stays of them all.

    Raises StateProblem.
    """
    unfinished: dict[Path, Path] = {}
    path = Path()
    try:
        for file in files:
            path = file.path
            unfinished[path] = path.with_name(f".{path.name}.new")
            _write_out(file, unfinished[path])
        for path, new in unfinished.items():
            new.replace(path)
    except OSError as error:
        raise StateProblem(
            f"The file {path} cannot be written: {error.strerror}. Correct the rights of its directory."
        ) from error
    finally:
        for new in unfinished.values():
            with suppress(OSError):
                new.unlink(missing_ok=True)


def _write_out(file: FileToWrite, path: Path) -> None:
    path.unlink(missing_ok=True)  # of an attempt that was cut off
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(file.text)
        opened.flush()
        os.fsync(opened.fileno())
    if sys.platform != "win32":
        os.chown(path, -1, file.group)
        path.chmod(file.mode)
