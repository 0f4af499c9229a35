"""`rollcall provision WHO`: one person now."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection, state_to_write
from agent.cli.explain import verdict_of
from agent.cli.terminal import console, print_json, progress_bars
from agent.command_line import rollcall
from agent.errors import ExitCode
from agent.one_person import Provisioned, provision
from agent.upstream.push import Result
from connectors.base import Completeness


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser(
        "provision",
        parents=[common],
        help="one person now, through the same code as a cycle",
        description="Reads what changed in the sources, and pushes what concerns one person. Everybody else waits for "
        "the next cycle; guards and policy hold as ever. A daemon has to be stopped meanwhile, or does it by itself "
        "with its next cycle.",
    )
    parser.add_argument("who", metavar="WHO", help="as with rollcall explain")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Push one person, and say how it stands then."""
    connection = open_connection(options)
    with state_to_write(connection) as (state, stop), progress_bars(shown=not options.json) as progress:
        made = provision(connection, state, options.who, stop, progress)
    verdict, code = verdict_of(connection, options.who)
    code = _exit_code(made, code, provisioned=verdict.provisioned)
    done = [
        {
            "verb": outcome.operation.verb,
            "object": outcome.operation.subject.label,
            "result": str(outcome.result),
            "detail": outcome.detail,
        }
        for outcome in made.done
    ]
    troubles = [item.reason for item in made.outcomes if item.completeness is not Completeness.COMPLETE]
    if made.verdict.stops:
        reasons = " ".join(made.verdict.reasons)
        troubles.append(f"Held back by the guard: {reasons} See {rollcall('plan', options.config)}.")
    if made.pushed is not None and made.pushed.trouble is not None:
        troubles.append(str(made.pushed.trouble))
    if options.json:
        print_json(
            {
                "who": options.who,
                "cycle_id": made.report.cycle_id if made.report is not None else None,
                "counts": made.report.counts if made.report is not None else {},
                "done": done,
                "troubles": troubles,
                "provisioned": verdict.provisioned,
                "sentence": verdict.sentence,
                "remedy": verdict.remedy,
                "exit_code": int(code),
            }
        )
        return code
    out = console()
    for item in done:
        style = None if item["result"] == Result.DONE else "yellow"
        out.print(f"{item['verb']} {item['object']}: {item['result']}, {item['detail']}", style=style)
    if len(made.found) == 1 and not done:
        out.print("nothing to push")
    for trouble in troubles:
        out.print(f"- {trouble}", style="yellow")
    out.print(" ".join(filter(None, (verdict.sentence, verdict.remedy))))
    return code


def _exit_code(made: Provisioned, explained: ExitCode, *, provisioned: bool) -> ExitCode:
    if made.pushed is None:
        return explained
    if made.pushed.trouble is not None:
        return ExitCode.UPSTREAM
    if any(item.completeness is not Completeness.COMPLETE for item in made.outcomes):
        return ExitCode.SOURCE_INCOMPLETE
    if made.verdict.stops:
        return ExitCode.GUARD
    refused = any(outcome.result is not Result.DONE for outcome in made.done)
    return ExitCode.REJECTED_OBJECTS if refused or not (provisioned or made.done) else ExitCode.DONE
