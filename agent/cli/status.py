"""`rollcall status`: last cycles, freshness, what waits and what was rejected."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from rich.console import Console
from sqlalchemy import Connection as Transaction
from sqlalchemy import func, select

from agent.cli.configuration import open_connection, state_beside
from agent.cli.external import describe_decision
from agent.cli.terminal import EXIT_MEANING, console, print_json
from agent.command_line import rollcall
from agent.connection import Connection
from agent.could_not_run import why_no_cycle_runs
from agent.cycle_report import problems_now, rejections_now, unresolved_now
from agent.directory.second_hand import CATALOGUE
from agent.directory.unknown import unknown_members
from agent.errors import ExitCode
from agent.notices import notices_now
from agent.population.opt_in import decisions
from agent.provision_report import provisions
from agent.state.database import state_is_there
from agent.state.tables import cycle, entry, ledger_group, ledger_member, ledger_user, source

_CYCLES = 10


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser(
        "status", parents=[common], help="last cycles and who was provisioned, freshness, pending, rejected"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Print the state. The exit code is that of the last cycle, so that monitoring can use it."""
    connection = open_connection(options)
    directory = connection.settings.agent.state_dir
    if not state_is_there(directory):
        if options.json:
            print_json({"state": str(directory), "cycles": []})
        else:
            sync = rollcall("sync", options.config)
            console().print(f"No cycle has run yet: there is no state in {directory}. Run {sync}.")
        return ExitCode.DONE
    with state_beside(connection) as state, state.read() as reader:
        document = _document(reader, connection)
    if options.json:
        print_json({"state": str(directory), **document})
    else:
        _show(console(), document)
    last = [item for item in (document["could_not_run"], *document["cycles"][:1]) if item]
    return ExitCode(last[0]["exit_code"]) if last else ExitCode.DONE


def _document(reader: Transaction, connection: Connection) -> dict[str, Any]:
    settings = [item.settings for item in connection.sources]
    configured = {item.name for item in settings}
    rows = reader.execute(
        select(cycle.c.report).where(cycle.c.ended_at.is_not(None)).order_by(cycle.c.started_at.desc()).limit(_CYCLES)
    ).scalars()
    sources = [
        {
            "name": row.name,
            "configured": row.name in configured,
            "server": row.server,
            "completeness": row.completeness,
            "reason": row.reason,
            "note": row.note,
            "last_read_at": row.last_read_at.isoformat() if row.last_read_at else None,
            "last_complete_at": row.last_complete_at.isoformat() if row.last_complete_at else None,
            "entries": reader.execute(
                select(func.count()).select_from(entry).where(entry.c.source == row.name, entry.c.present)
            ).scalar_one(),
        }
        for row in reader.execute(select(source).order_by(source.c.name))
    ]
    known_second_hand = select(func.count()).select_from(entry).where(entry.c.source == CATALOGUE, entry.c.present)
    failure = why_no_cycle_runs(reader)
    return {
        "could_not_run": asdict(failure) | {"sentence": failure.sentence} if failure else None,
        "cycles": [json.loads(row) for row in rows],
        "provisioned": [report.as_json() for report in provisions(reader)],
        "sources": sources,
        "global_catalogue": {
            "people": reader.execute(known_second_hand).scalar_one(),
            "asked": any(item.asks_second_hand for item in settings),
        },
        "upstream": {
            "users": _count(reader, ledger_user),
            "active": reader.execute(
                select(func.count()).select_from(ledger_user).where(ledger_user.c.active)
            ).scalar_one(),
            "groups": _count(reader, ledger_group),
            "memberships": _count(reader, ledger_member),
        },
        "rejected": rejections_now(reader),
        "problems": problems_now(reader, connection.population),
        "notices": notices_now(reader, connection),
        "decisions": [describe_decision(made) for made in decisions(reader)],
        "unresolved": unresolved_now(reader),
        "unknown_members": [
            group.as_json() for group in unknown_members(reader, settings, nested=connection.population.scope.nested)
        ],
    }


def _count(reader: Transaction, table: Any) -> int:  # noqa: ANN401 - one of the tables
    return int(reader.execute(select(func.count()).select_from(table)).scalar_one())


def _show(out: Console, document: dict[str, Any]) -> None:
    _show_sources(out, document)
    held = document["upstream"]
    out.print(
        f"upstream: {held['users']} users ({held['active']} active), {held['groups']} groups, "
        f"{held['memberships']} memberships under Rollcall's care"
    )
    for item in document["unresolved"]:
        members = "1 member" if item["members"] == 1 else f"{item['members']} members"
        out.print(f"- group {item['group']}: {members} that no source can name, left alone")
    for item in document["unknown_members"]:
        out.print(f"- {item['sentence']}")
    for item in document["rejected"]:
        out.print(
            f"- {item['operation']} {item['dn']}: {item['reason']} (attempt {item['attempts']}; {item['next']})",
            style="yellow",
        )
    for sentence in document["problems"]:
        out.print(f"- {sentence}", style="yellow")
    for sentence in document["notices"]:
        out.print(f"- {sentence}")
    for item in document["decisions"][-1:]:
        out.print(
            f"external users: {item['verb']} by {item['by']} at {item['at']}, for the list {item['list']} of "
            f"{item['users']} users"
        )
    for item in document["provisioned"]:
        writes = f"; {item['counts']['writes']} writes" if item["counts"] else ""
        out.print(f"provision {item['cycle_id']} at {item['started_at']}, {item['dn']}: {item['outcome']}{writes}")
    if failure := document["could_not_run"]:
        out.print(f"- {failure['sentence']}", style="bold red")
    for item in document["cycles"]:
        meaning = EXIT_MEANING[ExitCode(item["exit_code"])]
        out.print(f"cycle {item['cycle_id']} at {item['started_at']}: {meaning}; {item['counts']['writes']} writes")
    for sentence in document["cycles"][0]["sentences"] if document["cycles"] else []:
        out.print(f"- {sentence}", style="yellow")
    told = {item["sentence"] for item in document["unknown_members"]}  # as it is now
    told |= {item["reason"] for item in document["sources"]} | set(document["notices"])
    for notice in document["cycles"][0].get("notices", []) if document["cycles"] else []:
        if notice not in told:
            out.print(f"- {notice}")


def _show_sources(out: Console, document: dict[str, Any]) -> None:
    for item in document["sources"]:
        fresh = item["last_complete_at"] or "never"
        out.print(
            f"source {item['name']}: last read {item['completeness']}, last complete read {fresh}, "
            f"{item['entries']} entries"
        )
        if item["note"]:
            out.print(f"- how it was read: {item['note']}")
        if item["reason"]:
            out.print(f"- {item['reason']}", style="yellow")
        if not item["configured"]:
            out.print(
                f"- source {item['name']} is no longer configured: its people are kept as they were",
                style="yellow",
            )
    catalogue = document["global_catalogue"]
    if catalogue["people"]:
        out.print(f"global catalogue: {catalogue['people']} people of other domains")
        if not catalogue["asked"]:
            out.print(
                "- no source asks the global catalogue any more: its people are kept as they were", style="yellow"
            )
