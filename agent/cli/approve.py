"""`rollcall approve DIGEST`: lets one plan's removals through."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection, state_beside
from agent.cli.plan import rehearsal
from agent.cli.terminal import console
from agent.command_line import cycle_at_once, rollcall
from agent.errors import ExitCode, UsageProblem
from agent.held import held_now, incomplete_reads
from agent.operating_system import account_name
from agent.plan.approvals import Changed, approve, changed_since
from agent.plan.guard import Verdict
from agent.plan.removals import amount_of
from agent.state.database import State, state_is_there

_SHOWN = 20


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("approve", parents=[common], help="let the removals of one plan through, once")
    parser.add_argument("digest", metavar="DIGEST", help="as rollcall plan and rollcall status print it")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Record the approval; the next cycle that would hold exactly these removals carries them out."""
    connection = open_connection(options)
    directory = connection.settings.agent.state_dir
    if not state_is_there(directory):
        raise UsageProblem(
            f"There is no state in {directory} yet, so there is nothing to approve. Run "
            f"{rollcall('sync', options.config)}."
        )
    with state_beside(connection) as state:
        verdict, incomplete = held_now(connection, state), incomplete_reads(connection, state)
        if verdict.digest != options.digest or not verdict.held or verdict.final:
            # It may be the digest of a plan that has read more than the last cycle.
            with rehearsal(connection, bars=True) as (copy, resolved):
                seen, incomplete = resolved.verdict, incomplete_reads(connection, copy)
            if seen.digest != options.digest or not seen.asks_for_approval:
                raise UsageProblem(_not_this(state, options.digest, verdict, rollcall("plan", options.config)))
            verdict = seen
        with state.write() as transaction:
            until = approve(transaction, verdict.digest, account_name(), connection.settings.guard.approval_valid)
    out = console()
    out.print(
        f"Approved: {amount_of(verdict.held)}, once, until {until:%Y-%m-%d %H:%M} UTC. "
        f"The next cycle carries them out if they are still the same. {cycle_at_once(options.config)}"
    )
    for sentence in incomplete:
        out.print(f"- {sentence}", style="yellow")
    return ExitCode.DONE


def _not_this(state: State, digest: str, verdict: Verdict, plan: str) -> str:
    if not verdict.held:
        return f"No removals with the digest {digest} are held. Nothing is held; see {plan}."
    if verdict.final:
        return f"No approval lets the removals {digest} through: {' '.join(verdict.reasons)}"
    now = f"What is held now has the digest {verdict.digest}"
    with state.read() as reader:
        changed = changed_since(reader, digest, verdict.held)
    if changed is None:
        return f"No removals with the digest {digest} are held. {now}; see {plan}."
    return f"The plan {digest} has changed since it was held: {_difference(changed)}. {now}; see {plan}."


def _difference(changed: Changed) -> str:
    told = [
        f"{len(lines)} removals {what} ({'; '.join(lines[:_SHOWN])}{'; …' if len(lines) > _SHOWN else ''})"
        for what, lines in (("more", changed.more), ("fewer", changed.fewer))
        if lines
    ]
    return " and ".join(told) or "the same removals, counted otherwise"
