"""The agent as an installed service: what can be done with it, whatever the operating system."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.connection import Connection
from agent.errors import UsageProblem


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the service after a command.

    well:   it is as the command wanted it
    lines:  what came of it, and what to do, for people
    """

    well: bool
    lines: tuple[str, ...]


class ServiceManager(Protocol):
    """The service of one configuration file. Every method raises UsageProblem where it may not, or cannot, do it."""

    def missing(self) -> str:
        """Say why this machine, or this account, cannot have the service; empty where it can."""

    def install(self, connection: Connection) -> Standing:
        """See that the service can read its settings, and have it start with the machine."""

    def uninstall(self) -> Standing:
        """Stop it, for good; state and settings stay."""

    def start(self) -> Standing:
        """Start it, and wait until it is ready."""

    def stop(self) -> Standing:
        """Stop it until it is started again."""

    def status(self) -> Standing:
        """Tell how it goes; `well` where it runs."""


def service_manager(configuration: Path) -> ServiceManager:
    """Return what manages services on this machine. Raises UsageProblem where nothing is known that does."""
    if sys.platform == "win32":
        raise UsageProblem("The service for Windows is not there yet. Let the Task Scheduler start rollcall run.")
    from agent.service.linux import LinuxService  # noqa: PLC0415 - it is made of what Windows has not

    return LinuxService(configuration)
