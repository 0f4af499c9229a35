"""`rollcall run`: the daemon."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from agent.cli.configuration import open_connection
from agent.connection import Connection
from agent.daemon import Daemon
from agent.errors import AnotherAgentRuns, ExitCode, StateOfNewerVersion, StateProblem
from agent.service.account import act_as_owner
from agent.service.supervisor import Unsupervised
from agent.service.systemd import systemd_of


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("run", parents=[common], help="the daemon: cycles on schedule")
    parser.set_defaults(command=command, quiet_logs=False)


def command(options: argparse.Namespace) -> ExitCode:
    """Run until a signal ends it. systemd is told apart what another attempt may overcome: it makes one."""

    def load() -> Connection:
        connection = open_connection(options)
        act_as_owner(connection.settings.agent.state_dir)
        return connection

    supervisor = systemd_of(os.environ)
    try:
        return Daemon(load, supervisor).run()
    except (AnotherAgentRuns, StateProblem) as error:
        if isinstance(supervisor, Unsupervised) or isinstance(error, StateOfNewerVersion):
            raise
        print(f"rollcall: {error}", file=sys.stderr)  # noqa: T201 - this is the program's voice
        return ExitCode.LATER
