"""Copies of the servers' databases. Their files are as large as they may become, and mostly holes: the copies, too."""

from __future__ import annotations

import subprocess
from pathlib import Path


def copy_database(source: Path, target: Path) -> None:
    """Copy a directory, holes as holes."""
    target.mkdir(exist_ok=True)
    subprocess.run(["cp", "--archive", "--sparse=always", f"{source}/.", str(target)], check=True)
