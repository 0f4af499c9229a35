"""Makes the deb and the rpm: one staged tree, with the locked dependencies, the same bits for the same commit.

The distribution's own Python runs it. What is compiled (pydantic-core, orjson, SQLAlchemy, MarkupSafe) is carried once
for each version of Python, everything else once for all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from staging import ROOT, Target, copy, epoch, install_dependencies, install_own, run, version_of_this

HERE = ROOT / "packaging"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# By Debian's name of the architecture: what pip and rpm call it. manylinux_2_28: RHEL 8 and everything that is newer.
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
PREFIX = "/opt/rollcall"
_DOCUMENTS = "/usr/share/doc/rollcall"


def main() -> None:
    """Build both packages into --output and print their names and digests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", choices=sorted(MACHINES), default=_this_machine())
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    parser.add_argument("--version", default=None, help="another version than that of pyproject.toml, for a test")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="for these versions only (default: all)")
    options = parser.parse_args()
    version = options.version or version_of_this()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        stage(tree, Path(scratch), options.architecture, options.python or PYTHONS)
        for kind in ("deb", "rpm"):
            package = _package(kind, tree, Path(scratch), version, options.architecture, options.output)
            print(f"{hashlib.sha256(package.read_bytes()).hexdigest()}  {package}")  # noqa: T201 - what it is called for


def stage(tree: Path, scratch: Path, architecture: str, pythons: Sequence[str]) -> None:
    """Lay out under `tree` what the packages put onto a machine."""
    lib = tree / "lib"
    lib.mkdir(parents=True)
    machine = MACHINES[architecture]
    platforms = [f"{glibc}_{machine}" for glibc in GLIBC]
    markers = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine}
    targets = [Target(python, platforms, markers) for python in pythons]
    for target in targets:
        for distribution in install_dependencies(scratch / f"python{target.python}", target, scratch):
            copy(distribution, tree / f"python{target.python}" if distribution.compiled else lib)
    for distribution in install_own(scratch / "own", targets[0], scratch):
        copy(distribution, lib)
    shutil.copy(HERE / "linux" / "launch.py", tree / "launch.py")
    (tree / "plugins").mkdir()


def _package(kind: str, tree: Path, scratch: Path, version: str, architecture: str, output: Path) -> Path:
    scripts = scratch / f"scripts-{kind}"
    scripts.mkdir()
    for name in ("preinst", "postinst", "prerm", "postrm"):
        text = (HERE / "linux" / name).read_text(encoding="utf-8").replace("@VERSION@", version)
        (scripts / name).write_text(text, encoding="utf-8")
    described = scratch / f"{kind}.json"
    description = _description(kind, tree, scripts, version, architecture)
    described.write_text(json.dumps(description, indent=1), encoding="utf-8")
    machine = MACHINES[architecture]
    name = f"rollcall_{version}_{architecture}.deb" if kind == "deb" else f"rollcall-{version}-1.{machine}.rpm"
    target = output / name
    run(
        str(Path(sys.executable).parent / "nfpm"), "package", "--config", str(described), "--packager", kind,
        "--target", str(target),
        environment={"SOURCE_DATE_EPOCH": str(epoch())},
    )  # fmt: skip
    return target


def _description(kind: str, tree: Path, scripts: Path, version: str, architecture: str) -> dict[str, Any]:
    """Return what nfpm reads: JSON is YAML."""
    at = datetime.fromtimestamp(epoch(), UTC).isoformat()
    documents = [(ROOT / name, f"{_DOCUMENTS}/{name}") for name in ("README.md", "CHANGELOG.md")]
    documents += [(ROOT / "agent.example.toml", f"{_DOCUMENTS}/agent.example.toml")]
    documents += [(path, f"{_DOCUMENTS}/monitoring/{path.name}") for path in sorted((HERE / "monitoring").iterdir())]
    documents += [(path, f"{_DOCUMENTS}/guide/{path.name}") for path in sorted((HERE / "guide").iterdir())]
    documents += [(ROOT / "LICENSE", f"{_DOCUMENTS}/copyright")]
    systemd = HERE / "systemd"
    files = [
        *documents,
        (systemd / "rollcall.service", "/usr/lib/systemd/system/rollcall.service"),
        (systemd / "rollcall@.service", "/usr/lib/systemd/system/rollcall@.service"),
        (systemd / "rollcall.sysusers", "/usr/lib/sysusers.d/rollcall.conf"),
    ]
    contents: list[dict[str, Any]] = [
        {"src": str(source), "dst": target, "file_info": {"mode": 0o644, "mtime": at}} for source, target in files
    ]
    contents.append(
        {
            "src": str(HERE / "linux" / "rollcall"),
            "dst": "/usr/bin/rollcall",
            "file_info": {"mode": 0o755, "mtime": at},
        }
    )
    # What no package has is left behind by rpm when it is removed.
    own = {parent for _, target in documents for parent in Path(target).parents if parent.is_relative_to(_DOCUMENTS)}
    contents += [
        {"dst": str(directory), "type": "dir", "file_info": {"mode": 0o755, "mtime": at}}
        for directory in sorted({*own, Path(PREFIX)})
    ]
    for path in sorted(tree.rglob("*")):
        target = f"{PREFIX}/{path.relative_to(tree)}"
        if path.is_dir():
            contents.append({"dst": target, "type": "dir", "file_info": {"mode": 0o755, "mtime": at}})
        else:
            mode = 0o755 if path.suffix == ".so" else 0o644
            contents.append({"src": str(path), "dst": target, "file_info": {"mode": mode, "mtime": at}})
    # Neither older nor newer than what is carried. 250: LoadCredentialEncrypted.
    pythons = [f"python{python}" for python in reversed(PYTHONS)]
    deb = [" | ".join(pythons), "systemd (>= 250)"]
    rpm = [f"((python3 >= 3.11 with python3 < 3.14) or {' or '.join(pythons)})", "systemd >= 250"]
    return {
        "name": "rollcall",
        "arch": architecture,
        "platform": "linux",
        "version": version,
        "version_schema": "none",
        "section": "admin",
        "priority": "optional",
        "maintainer": "The Rollcall developers <rollcall@localhost>",
        "description": "Keeps a SCIM 2.0 service equal to the groups of a directory\n"
        "Every member of the selected groups, those of domains that are not the organisation's own included.",
        "license": "Apache-2.0",
        "mtime": at,
        "depends": deb if kind == "deb" else rpm,
        "contents": contents,
        "scripts": {
            "preinstall": str(scripts / "preinst"),
            "postinstall": str(scripts / "postinst"),
            "preremove": str(scripts / "prerm"),
            "postremove": str(scripts / "postrm"),
        },
        "deb": {"compression": "xz"},
        "rpm": {"compression": "xz", "summary": "Keeps a SCIM 2.0 service equal to the groups of a directory"},
    }


def _this_machine() -> str:
    names = {python: debian for debian, python in MACHINES.items()}
    return names.get(os.uname().machine, "amd64")


if __name__ == "__main__":
    main()
