"""The systemd unit of a configuration file, and the one that is written where no package has brought it."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from agent.command_line import rollcall
from agent.errors import UsageProblem

WRITTEN = "# Written by rollcall service install."
ACCOUNT = "rollcall"
_NAME = re.compile(r"[A-Za-z0-9._@-]+")  # of an instance; other characters systemd wants written otherwise
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - not written to


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on a machine with systemd."""

    settings: Path = Path("/etc/rollcall")
    of_packages: Path = Path("/usr/lib/systemd/system")
    of_administrators: Path = Path("/etc/systemd/system")
    running: Path = Path("/run/systemd/system")
    state: Path = Path("/var/lib/rollcall")
    # The unit sets ProtectHome and PrivateTmp, so what is in one of these is not there for the service.
    hidden: tuple[str, ...] = _HIDDEN


@dataclass(frozen=True, slots=True)
class Unit:
    """Name of the unit, and of the file that describes it: an instance has its template's."""

    name: str
    file: str


def unit_of(configuration: Path, places: Places) -> Unit:
    """Return the unit that reads this configuration file. Raises UsageProblem where none does."""
    path = configuration.absolute()
    if path.parent != places.settings or path.suffix != ".toml" or not _NAME.fullmatch(path.stem):
        raise UsageProblem(
            f"The service reads {places.settings}/agent.toml, or {places.settings}/NAME.toml for one connection of "
            f"several (NAME of letters from A to Z, digits and . _ - @), and not {path}. Move the file there, or start "
            f"{rollcall('run', path)} yourself."
        )
    if path.stem == "agent":
        return Unit("rollcall.service", "rollcall.service")
    return Unit(f"rollcall@{path.stem}.service", "rollcall@.service")


def own_state(configuration: Path, places: Places) -> Path:
    """Return the StateDirectory= of the unit that reads this configuration file."""
    return places.state if configuration.stem == "agent" else places.state / configuration.stem


def shipped(name: str) -> str:
    """Return a file of packaging/systemd, from the wheel or from the repository."""
    here = Path(__file__).parent
    for directory in (here / "units", here.parents[1] / "packaging" / "systemd"):
        if (directory / name).is_file():
            return (directory / name).read_text(encoding="utf-8")
    raise UsageProblem(f"The file {name} is not in this installation of Rollcall. Install it anew.")


def hidden_place(path: Path, places: Places) -> str | None:
    """Return the place into which the service cannot look, if a file is in one."""
    return next((place for place in places.hidden if path.is_relative_to(place)), None)


def written_unit(unit: Unit, places: Places) -> str:
    """Return the unit for the Rollcall that runs this. Raises UsageProblem when the service could not see it."""
    # Not resolved: a virtual environment's Python is a link to one that knows nothing of it.
    program, behind = Path(sys.executable).absolute(), Path(sys.executable).resolve()
    hidden = hidden_place(program, places) or hidden_place(behind, places)
    if hidden is not None:
        raise UsageProblem(
            f"This Rollcall runs with {program}, and the service may see nothing below {hidden}. Install Rollcall "
            "elsewhere, like this: python3 -m venv /opt/rollcall-venv && /opt/rollcall-venv/bin/pip install "
            "./rollcall_agent-VERSION-py3-none-any.whl; with a Python that is not below it either."
        )
    text = shipped(unit.file).replace(
        "ExecStart=/usr/bin/rollcall ", f"ExecStart={shlex.quote(str(program))} -I -m agent "
    )
    return f"{WRITTEN} rollcall service uninstall takes it away.\n{text}"
