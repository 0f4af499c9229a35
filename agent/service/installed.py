"""The agent as an installed service: what can be done with it, whatever the operating system."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.connection import Connection


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

    def install(self, connection: Connection, account: str | None = None) -> Standing:
        """See that the service can read its settings, and have it start with the machine.

        account:  what it runs as from now on, on Windows; None: as it was, and at first as an account of its own
        """

    def uninstall(self) -> Standing:
        """Stop it, for good; state and settings stay."""

    def start(self) -> Standing:
        """Start it, and wait until it is ready."""

    def stop(self) -> Standing:
        """Stop it until it is started again."""

    def status(self) -> Standing:
        """Tell how it goes; `well` where it runs."""


def service_manager(configuration: Path) -> ServiceManager:
    """Return what manages services on this machine. Raises UsageProblem where no service reads this file."""
    # Each is made of what the other operating system has not.
    if sys.platform == "win32":
        from agent.service.windows.installed import WindowsService as Manager  # noqa: PLC0415
    else:
        from agent.service.linux import LinuxService as Manager  # noqa: PLC0415
    return Manager(configuration)
