"""`rollcall explain WHO`: why somebody is, or is not, provisioned."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.explain_text import lines_of
from agent.cli.terminal import console, print_json
from agent.command_line import rollcall
from agent.connection import Connection
from agent.errors import ExitCode
from agent.explanation.explanation import Explanation, Found
from agent.explanation.facts import Verdict
from agent.explanation.story import Question, explain
from agent.explanation.who import readable
from agent.held import held_now
from agent.planning import settings_are_settled
from agent.state.database import state_is_there, state_to_look_at

_EXIT = {Found.PERSON: ExitCode.DONE, Found.GROUP: ExitCode.DONE, Found.SEVERAL: ExitCode.USAGE}


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser(
        "explain",
        parents=[common],
        help="why somebody is, or is not, provisioned",
        description="Tells from what was read last why somebody is, or is not, provisioned. Asks neither a "
        "directory nor the upstream, and changes nothing. Exit codes: 0 found, 1 in no source, 2 several answer to "
        "WHO.",
    )
    parser.add_argument(
        "who", metavar="WHO", help="e-mail address, DN, user name, name, anchor or SCIM id; without regard to case"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Print the explanation."""
    readable(options.who)
    connection = open_connection(options)
    directory = connection.settings.agent.state_dir
    if not state_is_there(directory):
        if options.json:
            print_json({"who": options.who, "found": Found.NOBODY.value, "state": None})
        else:
            sync = rollcall("sync", options.config)
            console().print(f"Nothing is known yet: there is no state in {directory}. Run {sync}.")
        return ExitCode.REJECTED_OBJECTS
    told = _told(connection, options.who)
    if options.json:
        print_json({**told.as_json(), "state": str(directory)})
    else:
        out = console()
        for line, style in lines_of(told):
            out.print(line, style=style)
    return _EXIT.get(told.found, ExitCode.REJECTED_OBJECTS)


def verdict_of(connection: Connection, who: str) -> tuple[Verdict, ExitCode]:
    """Return what there is to say of somebody in one sentence, and the exit code that goes with it."""
    told = _told(connection, who)
    return told.verdict, _EXIT.get(told.found, ExitCode.REJECTED_OBJECTS)


def _told(connection: Connection, who: str) -> Explanation:
    directory = connection.settings.agent.state_dir
    with state_to_look_at(directory) as state:
        return explain(
            state,
            Question(
                who=who,
                population=connection.population,
                locks=connection.locks,
                grace=connection.grace,
                sources=[source.settings for source in connection.sources],
                state_dir=directory,
                settings_changed=not settings_are_settled(connection, state),
                held_now=lambda: held_now(connection, state),
            ),
        )
