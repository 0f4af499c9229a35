"""`rollcall approve DIGEST`: lets one guarded plan through, once."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.terminal import console
from agent.errors import ExitCode, UsageProblem
from agent.operating_system import account_name
from agent.plan.difference import Difference, Retry
from agent.plan.guard import approve
from agent.plan.plan import draw_up
from agent.state.database import FILE_NAME, open_state


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("approve", parents=[common], help="let one guarded plan through, once")
    parser.add_argument("digest", metavar="DIGEST", help="the digest that sync, plan or status printed")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Record the approval; the next cycle whose removals have this digest carries them out."""
    connection = open_connection(options)
    directory = connection.settings.agent.state_dir
    if not (directory / FILE_NAME).exists():
        raise UsageProblem(f"There is no state in {directory} yet, so there is nothing to approve. Run rollcall sync.")
    state = open_state(directory)
    try:
        plan = draw_up(Difference(state, retry=Retry.AT_ONCE, locks=connection.locks, sources=connection.source_names))
        if not plan.removals or plan.digest != options.digest:
            now = f"The removals waiting now have the digest {plan.digest}" if plan.removals else "Nothing waits"
            raise UsageProblem(f"No removals with the digest {options.digest} are waiting. {now}; see rollcall plan.")
        with state.write() as transaction:
            until = approve(transaction, plan.digest, account_name(), connection.settings.guard.approval_valid)
    finally:
        state.close()
    console().print(
        f"Approved: {len(plan.removals)} removals, once, until {until:%Y-%m-%d %H:%M} UTC. "
        "The next cycle carries them out if they are still the same; or run rollcall sync now."
    )
    return ExitCode.DONE
