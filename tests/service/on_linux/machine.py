"""A machine with systemd, as far as the service commands see one: its directories, and what systemctl was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.cli.main import main
from agent.service.linux import LinuxService
from agent.service.unit import Places

SECRET = "t0ken-of-the-service"
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> {directory}/calls
case "$1" in
show) cat {directory}/properties ;;
*) [ ! -e {directory}/refuses ] || {{ cat {directory}/refuses >&2; exit 1; }} ;;
esac
"""


@dataclass
class Machine:
    """`properties` are what `systemctl show` answers; `account` is that of the service."""

    directory: Path
    account: str = "nobody"
    hidden: tuple[str, ...] = ()
    properties: dict[str, str] = field(
        default_factory=lambda: {"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "enabled"}
    )

    def __post_init__(self) -> None:
        self.directory.chmod(0o755)
        self.commands = self.directory / "bin"
        for path in (self.commands, self.places.settings, self.places.of_packages, self.places.running):
            path.mkdir()
        script = self.commands / "systemctl"
        script.write_text(_SYSTEMCTL.format(directory=self.directory))
        script.chmod(0o755)
        self.find()

    @property
    def places(self) -> Places:
        parts = (self.directory / name for name in ("settings", "of-packages", "etc", "running"))
        return Places(*parts, hidden=self.hidden)

    @property
    def configuration(self) -> Path:
        return self.places.settings / "agent.toml"

    def find(self, **properties: str) -> None:
        self.properties |= properties
        lines = [f"{name}={value}\n" for name, value in self.properties.items()]
        (self.directory / "properties").write_text("".join(lines))

    def refuse(self, words: str) -> None:
        (self.directory / "refuses").write_text(words)

    def with_package(self) -> None:
        (self.places.of_packages / "rollcall.service").write_text("[Unit]\n")

    def asked(self) -> list[str]:
        """What systemctl was asked to do, without the looks."""
        calls = self.directory / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line for line in lines if not line.startswith("show")]

    def service(self, name: str = "agent.toml") -> LinuxService:
        return LinuxService(self.places.settings / name, self.places, self.account)


def further(machine: Machine, name: str, state: str) -> None:
    """Set up a further connection."""
    settings = machine.places.settings
    text = machine.configuration.read_text()
    (settings / f"{name}.toml").write_text(f'{text}[agent]\nstate_dir = "{state}"\n')
    (settings / f"{name}.credentials").mkdir()
    (settings / f"{name}.credentials" / "upstream.token").write_text(SECRET)


def run(machine: Machine, verb: str, name: str = "agent.toml") -> int:
    return int(main(["service", verb, "--config", str(machine.places.settings / name)]))
