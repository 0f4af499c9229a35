"""`rollcall plan`: what a cycle would do, by running the real code without writing."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.terminal import console, print_json, print_plan, progress_bars
from agent.command_line import rollcall
from agent.connection import Connection
from agent.cycle_report import describe_source, problems_now, refused_now
from agent.errors import ExitCode
from agent.notices import notices_of_cycle
from agent.plan.operations import Phase
from agent.plan.removals import amount_of, cause_of, causes_of
from agent.planning import Resolved, difference_of, resolve
from agent.state.database import State, scratch_copy
from connectors.base import Completeness


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("plan", parents=[common], help="what a cycle would do, without writing anything")
    parser.add_argument("--json", action="store_true", help="print one JSON document, every operation in it")
    parser.set_defaults(command=command, quiet_logs=True)


@contextmanager
def rehearsal(connection: Connection, *, bars: bool) -> Iterator[tuple[State, Resolved]]:
    """Read the sources and resolve everything on a copy of the state, which is thrown away afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-") as scratch,
        scratch_copy(connection.settings.agent.state_dir, Path(scratch)) as state,
        progress_bars(shown=bars) as progress,
    ):
        yield state, resolve(connection, state, progress=progress, retry_at_once=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Print the plan. The exit code tells what a cycle would meet."""
    connection = open_connection(options)
    with rehearsal(connection, bars=not options.json) as (state, resolved):
        with state.read() as reader:
            problems = [*refused_now(reader), *problems_now(reader, connection.population)]
            notices = notices_of_cycle(reader, connection)
        incomplete = [o.reason for o in resolved.outcomes if o.completeness is not Completeness.COMPLETE]
        if options.json:
            difference = difference_of(connection, state)
            print_json(
                {
                    "digest": resolved.verdict.digest,
                    "operations": resolved.plan.operations,
                    "memberships": {"add": resolved.plan.joining, "remove": resolved.plan.leaving},
                    "guard": list(resolved.verdict.reasons),
                    "removals_allowed": not resolved.verdict.stops,
                    "held": len(resolved.verdict.held) if resolved.verdict.stops else 0,
                    "causes": [
                        {
                            "cause": cause.text,
                            "group": cause.of,
                            "users": len(cause.users),
                            "memberships": cause.memberships,
                            "groups": cause.whole,
                        }
                        for cause in causes_of(resolved.plan.removals)
                    ],
                    "sources": [describe_source(outcome) for outcome in resolved.outcomes],
                    "problems": problems,
                    "notices": notices,
                    "steps": [
                        {
                            "verb": operation.verb,
                            "object": operation.subject.label,
                            "members": len(getattr(operation, "members", ())),
                            "cause": cause_of(operation),
                        }
                        for phase in Phase
                        for operation in difference.operations(phase, foresee=True)
                    ],
                }
            )
        else:
            out = console()
            print_plan(out, resolved.plan, all_read=not incomplete)
            for sentence in (*incomplete, *resolved.verdict.reasons, *problems):
                out.print(f"- {sentence}", style="yellow")
            for sentence in notices:
                out.print(f"- {sentence}")
            if resolved.verdict.asks_for_approval:
                rest = resolved.verdict.let_through(resolved.plan.removals)
                approve = rollcall(f"approve {resolved.verdict.digest}", options.config)
                out.print(
                    f"{amount_of(resolved.verdict.held)} would be held"
                    + (f", and {amount_of(rest)} taken away" if rest else "")
                    + f". To let exactly what is held through: {approve}"
                )
    if incomplete:
        return ExitCode.SOURCE_INCOMPLETE
    if resolved.verdict.stops:
        return ExitCode.GUARD
    return ExitCode.REJECTED_OBJECTS if problems else ExitCode.DONE
