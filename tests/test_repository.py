"""What must hold for the repository as a whole: the lock, the reasons for dependencies, no trace of one machine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from uv import find_uv_bin

REPOSITORY = Path(__file__).parents[1]

# In parts, so that this file does not hold what it forbids.
FORBIDDEN = (
    *(
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "org"),
            ("crates", "io"),
            ("rubygems", "org"),
            ("proxy", "golang", "org"),
            ("deb", "debian", "org"),
        )
    ),
    "/" + "work/",
    ".." + "/shared",
    "/" + "root/",
)


def test_no_file_names_a_package_index_or_one_machines_folders() -> None:
    found = [
        f"{path}: {word}"
        for path in _files()
        for word in FORBIDDEN
        if word.encode() in (REPOSITORY / path).read_bytes().lower()
    ]

    assert found == []


def test_the_lock_names_no_host() -> None:
    lock = (REPOSITORY / "uv.lock").read_text(encoding="utf-8")
    registries = set(re.findall(r'registry = "([^"]*)"', lock))
    hosts = set(re.findall(r"[a-z]+://([^/\"]+)", lock))

    assert registries == {"https://index.invalid/simple"}
    assert hosts == {"index.invalid", "files.invalid"}  # .invalid never resolves (RFC 2606)


def test_the_lock_fits_the_project_file(tmp_path: Path) -> None:
    command = [find_uv_bin(), "lock", "--check", "--offline", "--no-config", "--python", sys.executable]
    check = subprocess.run(
        [*command, "--cache-dir", tmp_path], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )

    assert check.returncode == 0, f"run `make lock`\n{check.stderr}"


def test_every_dependency_says_why_it_is_there() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    requirements = [*table["project"]["dependencies"]]
    for group in (*table["project"]["optional-dependencies"].values(), *table["dependency-groups"].values()):
        requirements.extend(group)
    without_reason = [
        requirement for requirement in requirements if not re.search(rf'"{re.escape(requirement)}",\s*# \S+ \S+', text)
    ]

    assert requirements
    assert without_reason == []


def test_the_example_configuration_is_there() -> None:
    assert (REPOSITORY / "agent.example.toml").is_file()


def _files() -> list[str]:
    """Return what is in git, and what would be with the next `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True).stdout
    return [path for path in listing.split("\0") if path and (REPOSITORY / path).is_file()]
