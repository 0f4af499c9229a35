"""`rollcall external`: managed and external users by domain and group, and the decision to let them in."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.cli.configuration import open_connection, state_beside
from agent.cli.plan import rehearsal
from agent.cli.terminal import console, harmless, print_json
from agent.command_line import cycle_at_once, rollcall
from agent.connection import Connection
from agent.directory.unknown import unknown_members
from agent.errors import ExitCode, UsageProblem
from agent.operating_system import account_name
from agent.planning import settings_are_settled
from agent.population.opt_in import OPT_IN, WITHDRAW, Decision, decide, last_decision
from agent.population.overview import (
    COLUMNS,
    ExternalList,
    admitted_list,
    by_domain,
    by_group,
    external_users,
    totals,
    waiting_list,
)
from agent.state.database import State, state_is_there
from connectors.base import Completeness


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("external", parents=[common], help="managed and external users, by domain and group")
    parser.add_argument(
        "decision",
        nargs="?",
        choices=(OPT_IN, WITHDRAW),
        help="opt-in: let the external users in that wait for a decision; withdraw: take that back",
    )
    parser.add_argument("--list", metavar="DIGEST", help="opt in to exactly the list that rollcall external showed")
    parser.add_argument("--by", metavar="NAME", help="who decides; left out: the account that runs the command")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every external user with its groups as CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Read the directory now, on a copy of the state, and list who is who; or record a decision."""
    connection = open_connection(options)
    if options.list and options.decision != OPT_IN:
        raise UsageProblem(f"--list belongs to opt-in: {rollcall('external opt-in --list DIGEST', options.config)}.")
    if options.decision:
        return _decide(connection, options)
    if options.by:
        decision = rollcall("external opt-in --list DIGEST --by NAME", options.config)
        raise UsageProblem(f"--by belongs to a decision: {decision}.")
    with rehearsal(connection, bars=not options.json) as (state, resolved), state.read() as reader:
        incomplete = [o.reason for o in resolved.outcomes if o.completeness is not Completeness.COMPLETE]
        domains, groups = by_domain(reader), by_group(reader)
        waiting, last = waiting_list(reader), last_decision(reader)
        counts = totals(reader)
        settings = [source.settings for source in connection.sources]
        unknown = unknown_members(reader, settings, nested=connection.population.scope.nested)
        document: dict[str, object] = {
            "totals": counts,
            "domains": domains,
            "groups": groups,
            "unknown_members": [group.as_json() for group in unknown],
            "list": {"digest": waiting.digest, "users": len(waiting.numbers)},
            "decision": None if last is None else describe_decision(last),
        }
        if options.csv:
            written = _write_csv(options.csv, external_users(reader))
            document["csv"] = {"file": str(options.csv), "users": written}
        if options.json:
            users = [dict(zip(COLUMNS, row, strict=True)) for row in external_users(reader)]
            print_json({**document, "external_users": users, "incomplete": incomplete})
        else:
            show(console(), domains, groups, counts)
            if options.csv:
                console().print(f"{written} external users written to {options.csv}")
            for group in unknown:
                console().print(f"- {group.sentence()}")
            _show_open(console(), waiting, options.config)
            for sentence in incomplete:
                console().print(f"- {sentence}", style="yellow")
    return ExitCode.SOURCE_INCOMPLETE if incomplete else ExitCode.DONE


def describe_decision(made: Decision) -> dict[str, object]:
    """Return a decision as the JSON documents have it."""
    return {
        "verb": made.verb,
        "by": made.decided_by,
        "at": made.decided_at.isoformat(timespec="seconds"),
        "list": made.list_digest,
        "users": made.users,
    }


def _decide(connection: Connection, options: argparse.Namespace) -> ExitCode:
    directory = connection.settings.agent.state_dir
    if not state_is_there(directory):
        raise UsageProblem(
            f"There is no state in {directory} yet, so there is no list to decide about. "
            f"Run {rollcall('sync', options.config)}: it creates nobody who waits for a decision. Then run "
            f"{rollcall('external', options.config)} to see the list."
        )
    with state_beside(connection) as state:
        made = _record(connection, state, options)
    if options.json:
        print_json({"decision": describe_decision(made)})
    elif made.verb == OPT_IN:
        then = (
            f"The next cycle creates them. {cycle_at_once(options.config)}" if made.users else "Nobody waited for it."
        )
        console().print(
            f"Recorded: {made.decided_by} opts in to external users, for the list {made.list_digest} of {made.users}. "
            f"{then}"
        )
    else:
        what = (
            "takes those upstream out of their groups and deactivates them, if the guard lets that through"
            if connection.population.policy.withdraws
            else "leaves those upstream as they are"
        )
        console().print(
            f"Recorded: {made.decided_by} withdraws the opt-in to external users. The next cycle creates none, and "
            f"{what} ([external] withdrawal). Nobody is deleted."
        )
    return ExitCode.DONE


def _record(connection: Connection, state: State, options: argparse.Namespace) -> Decision:
    sync, look = (rollcall(command, options.config) for command in ("sync", "external"))
    if options.decision == OPT_IN:
        if connection.population.policy.leaves_everybody_out:
            raise UsageProblem(
                "The policy is to skip external users, so there is nothing to opt in to. Set [external] policy = "
                f'"provision" or "review", run {sync}, look at {look}, and opt in then.'
            )
        if not settings_are_settled(connection, state):
            raise UsageProblem(
                "The settings have changed since the last cycle, so nobody has seen the list that would be decided "
                f"about. Run {sync}: it creates nobody who waits for a decision. Then run {look}."
            )
    with state.write() as transaction:
        waiting = waiting_list(transaction)
        if options.list and options.list != waiting.digest:
            raise UsageProblem(
                f"The list {options.list} is not the one that waits: as of the last cycle that is {waiting.digest}, "
                f"with {len(waiting.numbers)} users. Run {sync}, then look at {look} again."
            )
        about = waiting if options.decision == OPT_IN else admitted_list(transaction)
        by = options.by or account_name()
        return decide(transaction, options.decision, by, about.digest, list(about.numbers))


def _show_open(out: Console, waiting: ExternalList, configuration: Path) -> None:
    if waiting.numbers:
        out.print(
            f"{len(waiting.numbers)} external users wait for a decision (list {waiting.digest}). To let exactly these "
            f"in: {rollcall(f'external opt-in --list {waiting.digest}', configuration)}"
        )


def show(out: Console, domains: list[dict[str, Any]], groups: list[dict[str, Any]], counts: dict[str, int]) -> None:
    """Print both tables; without a terminal, plain lines."""
    if not out.is_terminal:
        for item in domains:
            out.print(f"domain {item['domain']}: {item['users']} {item['standing']}{_fate(item)}")
        for item in groups:
            unresolved = f", {item['unresolved']} that no source can name" if item["unresolved"] else ""
            standing = f"{item['managed']} managed, {item['external']} external"
            out.print(f"group {item['group']}: {standing}{_fate(item)}{unresolved}")
    else:
        _show_tables(out, domains, groups)
    out.print(f"{counts['managed']} managed and {counts['external']} external users in scope")


def _fate(item: dict[str, Any]) -> str:
    parts = []
    if item["to_add"]:
        parts.append(f", {item['to_add']} to be added")
    if item["waiting"]:
        parts.append(f", {item['waiting']} waiting for a decision")
    elif not item.get("provisioned", True):
        parts.append(", skipped")
    return "".join(parts)


def _show_tables(out: Console, domains: list[dict[str, Any]], groups: list[dict[str, Any]]) -> None:
    table = Table(title="Users in scope, by domain", title_justify="left")
    for heading in ("domain", "standing", "provisioned"):
        table.add_column(heading)
    for heading in ("users", "to be added", "waiting"):
        table.add_column(heading, justify="right")
    for item in domains:
        style = "cyan" if item["standing"] == "external" else ""
        provisioned = "yes" if item["provisioned"] else "waiting" if item["waiting"] else "skipped"
        numbers = [str(item["users"]), *(str(item[key] or "") for key in ("to_add", "waiting"))]
        table.add_row(item["domain"], item["standing"], provisioned, *numbers, style=style)
    out.print(table)
    table = Table(title="Selected groups", title_justify="left")
    table.add_column("group")
    for heading in ("managed", "external", "to be added", "waiting", "unknown"):
        table.add_column(heading, justify="right")
    for item in groups:
        numbers = [str(item[key] or "") for key in ("to_add", "waiting", "unresolved")]
        table.add_row(item["group"], str(item["managed"]), str(item["external"]), *numbers)
    out.print(table)


def _write_csv(path: Path, users: Iterator[tuple[object, ...]]) -> int:
    number = 0
    try:
        # utf-8-sig and CRLF: spreadsheets take anything else for another character set or one long line.
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for number, row in enumerate(users, start=1):  # noqa: B007 - the last number is the count
                writer.writerow([harmless(cell) for cell in row])
    except OSError as error:
        raise UsageProblem(f"The file {path} cannot be written: {error.strerror}. Name another with --csv.") from error
    return number
