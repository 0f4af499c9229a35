"""A command that a message tells somebody to give, about the connection that the message is about."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from agent.operating_system import default_configuration_file, is_of_the_service


def rollcall(words: str, configuration: Path) -> str:
    """Return the command, with --config where another file than the default one would be taken without."""
    path = configuration.absolute()
    if path == default_configuration_file():
        return f"rollcall {words}"
    # What cmd.exe and PowerShell take for a quotation mark is not what a shell does.
    quoted = subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))
    return f"rollcall {words} --config {quoted}"


def cycle_at_once(configuration: Path) -> str:
    """Say how a cycle is begun before its time. Beside a service that runs, rollcall sync is refused."""
    sync = rollcall("sync", configuration)
    if not is_of_the_service(configuration):
        return f"For it to begin at once: {sync}, while no rollcall run works with this state."
    restart = f"{rollcall('service stop', configuration)}, then {rollcall('service start', configuration)}"
    return f"For it to begin at once: {restart}, which begins with a cycle. Where no service runs: {sync}."
