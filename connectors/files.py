"""Files that settings name."""

from __future__ import annotations

from pathlib import Path


def why_no_file(path: Path) -> str:
    """Say what is wrong with a file that is needed, like "does not exist"; empty if it is there.

    Python's own question raises an error where this account may not look into the directory.
    """
    try:
        return "" if path.is_file() else "does not exist"
    except OSError as error:
        return f"cannot be reached ({error.strerror})"
