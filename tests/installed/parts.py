"""What the tests of the installed agent are made of: the packages, and a small Debian to install them into.

Made once for all of them, in build/installed; the packages whenever the commit or the tree has changed.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "installed"
OLDER = "0.0.9"  # the same program under the number of an older one
_INSIDE = ("systemd", "systemd-sysv", "dbus", "python3", "libnss-systemd", "procps", "rpm", "rpm2cpio", "cpio")
# Another Debian than this machine's, with another Python: make test-linux-service RELEASE=trixie
_ANOTHER = os.environ.get("RELEASE", "")
_SOURCES = ("agent", "connectors", "packaging", "pyproject.toml", "uv.lock", "README.md")


@dataclass(frozen=True)
class Packages:
    """The packages of this commit, and those of an older version."""

    deb: Path
    rpm: Path
    older_deb: Path
    older_rpm: Path


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """Let one process at a time make something, in a directory of its own."""
    directory = BUILT / name
    directory.mkdir(parents=True, exist_ok=True)
    with (BUILT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


@functools.cache
def packages() -> Packages:
    """Build the packages, unless it was done for this tree."""
    with alone(f"packages-{_python()}-{_fingerprint()}") as directory:
        if not (directory / "done").exists():
            for version in (OLDER, ""):
                build(directory, *(["--version", version] if version else []))
            (directory / "done").touch()
        current = [path for path in sorted(directory.glob("*.deb")) if OLDER not in path.name]
        older = next(path for path in directory.glob("*.deb") if OLDER in path.name)
        rpm = next(path for path in directory.glob("*.rpm") if OLDER not in path.name)
        older_rpm = next(path for path in directory.glob("*.rpm") if OLDER in path.name)
        return Packages(current[0], rpm, older, older_rpm)


@dataclass(frozen=True)
class Installers:
    """The MSI of this commit, and the one of an older version."""

    msi: Path
    older: Path

    @property
    def version(self) -> str:
        """The version of this commit."""
        return self.msi.name.split("-")[1]


@functools.cache
def installers() -> Installers:
    """Build the MSIs, unless it was done for this tree."""
    with alone(f"installers-{_fingerprint()}") as directory:
        if not (directory / "done").exists():
            for version in (OLDER, ""):
                subprocess.run(
                    [sys.executable, "packaging/build_windows.py", "--output", str(directory),
                     *(["--version", version] if version else [])],
                    cwd=ROOT, check=True, capture_output=True,
                )  # fmt: skip
            (directory / "done").touch()
        older = next(directory.glob(f"*-{OLDER}-*.msi"))
        return Installers(next(path for path in directory.glob("*.msi") if path != older), older)


def windows_test_tools() -> Path:
    """Return a directory with what the tests themselves are run with, for the Python of the MSI."""
    with alone("windows-test-tools") as directory:
        if not (directory / "done").exists():
            subprocess.run(
                [sys.executable, "packaging/build_windows.py", "--test-tools", str(directory)],
                cwd=ROOT, check=True, capture_output=True,
            )  # fmt: skip
            (directory / "done").touch()
        return directory


def build(directory: Path, *arguments: str) -> None:
    """Build a deb and an rpm for the Python of the container."""
    subprocess.run(
        [sys.executable, "packaging/build_linux.py", "--output", str(directory), "--python", _python(), *arguments],
        cwd=ROOT, check=True, capture_output=True, env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
    )  # fmt: skip


def debian() -> Path:
    """Return the root file system of a small Debian, with the same packages as this machine's."""
    release = _ANOTHER or _codename()
    with alone(f"debian-{release}") as directory:
        root = directory / "root"
        if not (directory / "done").exists():
            # A mirror may keep what is not released for longer than that says it is valid.
            where = [] if _ANOTHER else _sources()
            how = ["--aptopt=Acquire::Check-Valid-Until false"] if _ANOTHER else []
            subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_INSIDE)}",
                 "--skip=cleanup/apt,cleanup/reproducible", *how, release, str(root), *where],
                check=True,
            )  # fmt: skip
            (directory / "done").touch()
        return root


def _python() -> str:
    """Return the version of the Python that this Debian has."""
    found = sorted(debian().glob("usr/bin/python3.[0-9]*"))
    return found[-1].name.removeprefix("python")


def _codename() -> str:
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    return next(line.partition("=")[2] for line in release.splitlines() if line.startswith("VERSION_CODENAME="))


def _sources() -> list[str]:
    named = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("debian.sources"))]
    return [str(path) for path in named if path.exists() and path.stat().st_size]


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = ROOT / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
