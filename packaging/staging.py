"""What every package is staged from: the wheel of this commit, and the locked dependencies for another Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Distribution:
    """An installed Python distribution: its dist-info and the files that belong to it, relative to `root`."""

    root: Path
    info: Path

    @property
    def compiled(self) -> bool:
        """Whether it works with one version of Python only."""
        tags = re.findall(r"^Tag: (.*)$", (self.info / "WHEEL").read_text(encoding="utf-8"), re.MULTILINE)
        return not all(tag.endswith("-none-any") for tag in tags)

    def files(self) -> Iterator[str]:
        """Yield what it consists of, without the scripts that pip makes: nothing calls them."""
        for line in (self.info / "RECORD").read_text(encoding="utf-8").splitlines():
            name = line.split(",")[0].strip('"')
            if not name.startswith(("../", "bin/")) and (self.root / name).is_file():
                yield name


@dataclass(frozen=True)
class Target:
    """The Python that the packages are for.

    python:     its version, as 3.11
    platforms:  the tags of wheels that suit it, the best first
    markers:    what it would answer to the conditions of the lock (PEP 508)
    """

    python: str
    platforms: Sequence[str]
    markers: Mapping[str, str]


def version_of_this() -> str:
    """Return the version in pyproject.toml."""
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def epoch() -> int:
    """Return the time of the commit, in seconds since 1970, which every file in the packages gets."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    told = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    return int(told)


def install_dependencies(
    directory: Path, target: Target, scratch: Path, tools: Sequence[str] = ()
) -> list[Distribution]:
    """Put what the lock says into a directory, hashes checked; or only these tools of those who develop."""
    exported, requirements = scratch / "exported.txt", scratch / f"requirements-{target.python}.txt"
    groups = "--only-dev" if tools else "--no-dev"
    run("uv", "export", "--quiet", "--frozen", groups, "--no-emit-project", "--output-file", str(exported))
    wanted = list(_for_target(exported.read_text(encoding="utf-8"), target))
    if tools:
        wanted = [line for line in wanted if line.partition("==")[0] in tools]
    requirements.write_text("\n".join(wanted), encoding="utf-8")
    _install(directory, target, "--require-hashes", "--requirement", str(requirements))
    return _distributions(directory)


def install_own(directory: Path, target: Target, scratch: Path) -> list[Distribution]:
    """Put the agent itself into a directory."""
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(scratch / "wheel"))
    _install(directory, target, str(next((scratch / "wheel").glob("*.whl"))))
    return _distributions(directory)


def copy(distribution: Distribution, target: Path, leave: Sequence[str] = ()) -> None:
    """Copy what a distribution consists of, but for the directories to leave out."""
    for name in distribution.files():
        # They tell where and by whom it was installed, which is another answer on every machine that builds.
        if name.endswith((".dist-info/RECORD", ".dist-info/direct_url.json", ".dist-info/REQUESTED", ".pyc")):
            continue
        if name.startswith(tuple(leave)):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(distribution.root / name, target / name)


def run(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program, of this virtual environment if it is there."""
    beside = Path(sys.executable).parent / program
    command = [str(beside if beside.exists() else program), *arguments]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | (environment or {}))


def _for_target(exported: str, target: Target) -> Iterator[str]:
    """Yield the requirements that the target has. pip itself would ask the Python that it runs with."""
    environment = {"extra": "", "python_version": target.python, "python_full_version": f"{target.python}.0"}
    environment |= target.markers
    for requirement in re.sub(r"\\\n", " ", exported).splitlines():
        wanted, _, hashes = requirement.partition(" --hash=")
        name, _, condition = wanted.partition(" ; ")
        if name.startswith(("#", " ")) or not name:
            continue
        if not condition or Marker(condition.strip()).evaluate(environment):
            yield f"{name.strip()} --hash={hashes}"


def _install(directory: Path, target: Target, *what: str) -> None:
    platforms = [argument for platform in target.platforms for argument in ("--platform", platform)]
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:",
        "--target", str(directory), "--implementation", "cp", "--python-version", target.python, *platforms, *what,
    )  # fmt: skip


def _distributions(root: Path) -> list[Distribution]:
    return [Distribution(root, info) for info in sorted(root.glob("*.dist-info"))]
