"""`rollcall sync`: one cycle now."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection, state_to_write
from agent.cli.terminal import console, print_json, print_report, progress_bars
from agent.cycle import run_cycle
from agent.errors import ExitCode


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("sync", parents=[common], help="one cycle now")
    parser.add_argument("--full", action="store_true", help="compare everything, not only what changed")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Run one cycle and print what it did."""
    connection = open_connection(options)
    with state_to_write(connection) as (state, stop), progress_bars(shown=not options.json) as progress:
        # Somebody asked for it now, so what waits for its next attempt is tried as well.
        # Whoever asks for everything by hand also accepts the directory that answers as the right one, and that none of
        # its groups has members any more, once told of it.
        report = run_cycle(
            connection, state, stop=stop, progress=progress, full=options.full, whichever_directory=options.full,
            retry_at_once=True,
        )  # fmt: skip
    if options.json:
        print_json(report.as_json())
    else:
        print_report(console(), report)
    return report.exit_code
