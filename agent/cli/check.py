"""`rollcall check`: each line ok, or what to do."""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.plan import rehearsal
from agent.cli.terminal import console, print_json
from agent.command_line import rollcall
from agent.connection import Connection
from agent.cycle_report import problems_now
from agent.errors import ExitCode, RollcallError, StateProblem
from agent.idle_lines import idle_lines
from agent.observe.message import Channel, NotDelivered
from agent.observe.telling import channels_of, send_test
from agent.observe.trouble import token_expiry
from agent.operating_system import make_private_directory, why_no_room
from agent.upstream.probe import probe
from connectors.base import Completeness, Finding


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("check", parents=[common], help="try everything the settings name")
    parser.add_argument("--notice", action="store_true", help="send a test notice by each way in [notice]")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Check state, sources, scope and upstream; the first trouble in that order decides the exit code."""
    connection = open_connection(options)
    parts = [
        (
            ExitCode.USAGE,
            [Finding("settings", ok=True, message=f"{options.config} is valid"), *_state(connection)],
        ),
        (ExitCode.SOURCE_INCOMPLETE, _sources(connection)),
        (ExitCode.UPSTREAM, [*probe(connection.service), *_token(connection)]),
        (ExitCode.USAGE, _notices(connection, options)),
    ]
    if all(finding.ok for _, findings in parts[:2] for finding in findings):
        parts.insert(2, (ExitCode.USAGE, _scope(connection, bars=not options.json)))
    findings = [finding for _, some in parts for finding in some]
    if options.json:
        print_json(
            [
                {"subject": item.subject, "ok": item.ok, "message": item.message, "remedy": item.remedy}
                for item in findings
            ]
        )
    else:
        out = console()
        for item in findings:
            mark, style = ("ok", "green") if item.ok else ("NOT OK", "bold red")
            message = item.message.removeprefix(f"{item.subject}: ")  # an error names its source by itself
            out.print(f"{mark:<7} {item.subject}: {message}", style=style)
            if item.remedy:
                out.print(f"        → {item.remedy}")
    return next((code for code, some in parts if not all(item.ok for item in some)), ExitCode.DONE)


def _state(connection: Connection) -> list[Finding]:
    directory = connection.settings.agent.state_dir
    try:
        make_private_directory(directory)
    except RollcallError as error:
        return [Finding("state", ok=False, message=str(error), remedy="Correct [agent] state_dir or its rights.")]
    if why := why_no_room(directory):
        message, remedy = f"{directory} takes no more data: {why}", "Make room on the disk that holds it."
        return [Finding("state", ok=False, message=message, remedy=remedy)]
    return [Finding("state", ok=True, message=f"{directory} may be written")]


def _notices(connection: Connection, options: argparse.Namespace) -> list[Finding]:
    channels = channels_of(connection.settings.notice)
    if not channels:
        message = "nobody is told when something goes wrong"
        return [Finding("notice", ok=True, message=message, remedy="Set webhook_url_file or smtp_host in [notice].")]
    if not options.notice:
        names = " and ".join(channel.name for channel in channels)
        test = rollcall("check --notice", options.config)
        return [Finding("notice", ok=True, message=f"by {names}; {test} sends a test")]
    return [_tested(connection, channel) for channel in channels]


def _tested(connection: Connection, channel: Channel) -> Finding:
    try:
        send_test(connection, channel)
    except NotDelivered as error:
        remedy = "Correct [notice], or what answers there."
        return Finding("notice", ok=False, message=f"no test notice by {channel.name}: {error}", remedy=remedy)
    return Finding("notice", ok=True, message=f"a test notice was sent by {channel.name}")


def _token(connection: Connection) -> list[Finding]:
    expiry, now = token_expiry(connection), datetime.now(UTC)
    if expiry is None:
        return []
    soon = expiry - now <= connection.settings.notice.token_warning
    message = f"the token {'has expired' if expiry <= now else 'expires'} on {expiry:%Y-%m-%d}"
    remedy = f"Make a new one in the vendor's console and {connection.service.where_the_token_goes}."
    return [Finding("upstream", ok=True, message=message, remedy=remedy if soon else "")]


def _sources(connection: Connection) -> list[Finding]:
    findings: list[Finding] = []
    for source in connection.sources:
        try:
            with closing(source.open()) as connector:
                findings += connector.check()
        except RollcallError:
            raise
        except Exception as error:  # noqa: BLE001 - it is somebody else's program
            findings.append(Finding(source.name, ok=False, message=source.failed(error)))
    return findings


def _scope(connection: Connection, *, bars: bool) -> list[Finding]:
    try:
        return _rehearsed(connection, bars=bars)
    except StateProblem as problem:
        return [Finding("scope", ok=False, message=f"no cycle can run. {problem}")]


def _rehearsed(connection: Connection, *, bars: bool) -> list[Finding]:
    with rehearsal(connection, bars=bars) as (state, resolved), state.read() as reader:
        findings = [
            Finding("sources", ok=False, message=outcome.reason)
            for outcome in resolved.outcomes
            if outcome.completeness is not Completeness.COMPLETE
        ]
        findings += [
            Finding("scope", ok=False, message=sentence) for sentence in problems_now(reader, connection.population)
        ]
        idle = [Finding("guard", ok=True, message=sentence) for sentence in idle_lines(reader, connection)]
        counted = ", ".join(f"{number} to {verb}" for verb, number in resolved.plan.operations.items())
    if not findings:
        findings.append(Finding("scope", ok=True, message=f"every selected group was found; {counted or 'in step'}"))
    return findings + idle
