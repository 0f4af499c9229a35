"""Writes uv.lock, without the address of the package index it was made with.

A lock says which packages: names, versions and hashes. Where they come from is the business of the machine that
installs them, so the addresses are replaced by ones that cannot exist (RFC 2606). uv still checks and exports such
a lock; the Makefile installs what it exports with pip, hashes required, from whatever index pip is set to use.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "uv.lock"
INDEX = "https://index.invalid/simple"
FILES = "https://files.invalid/"


def main() -> None:
    """Resolve in a scratch copy, with the versions locked so far as preferences, and strip the addresses."""
    upgrade = "--upgrade" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            (copy / name).write_bytes((ROOT / name).read_bytes())
        constraints = [] if upgrade or not LOCK.exists() else _constraints()
        if constraints:
            text = (copy / "pyproject.toml").read_text(encoding="utf-8")
            listed = ", ".join(f'"{line}"' for line in constraints)
            (copy / "pyproject.toml").write_text(f"{text}\n[tool.uv]\nconstraint-dependencies = [{listed}]\n")
        _lock(copy)
        if constraints:
            # Once more without the constraints, which uv would record: the versions stay, as they are in the lock.
            (copy / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
            _lock(copy)
        LOCK.write_text(_stripped((copy / "uv.lock").read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _lock(directory: Path) -> None:
    subprocess.run([str(Path(sys.executable).parent / "uv"), "lock", "--quiet"], cwd=directory, check=True)


def _constraints() -> list[str]:
    text = LOCK.read_text(encoding="utf-8")
    pairs = re.findall(r'\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"\nsource = \{ registry', text)
    return [f"{name}=={version}" for name, version in pairs]


def _stripped(text: str) -> str:
    text = re.sub(r'registry = "[^"]+"', f'registry = "{INDEX}"', text)
    return re.sub(r'url = "https?://[^"]*/([^"/]+)"', rf'url = "{FILES}\1"', text)


if __name__ == "__main__":
    main()
