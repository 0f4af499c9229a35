"""`rollcall external`: managed and external users, by domain and by group."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select

from agent.cli.configuration import open_connection
from agent.cli.plan import rehearsal
from agent.cli.terminal import console, print_json
from agent.directory.unknown import unknown_members
from agent.errors import ExitCode, UsageProblem
from agent.state.tables import desired_group, desired_member, desired_user, entry
from connectors.base import Completeness

_COLUMNS = ("email", "domain", "standing", "provisioned", "active", "dn", "source", "groups")


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("external", parents=[common], help="managed and external users, by domain and group")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every external user with its groups as CSV")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Read the directory now, on a copy of the state, and list who is who."""
    connection = open_connection(options)
    with rehearsal(connection, bars=not options.json) as (state, resolved), state.read() as reader:
        incomplete = [o.reason for o in resolved.outcomes if o.completeness is not Completeness.COMPLETE]
        domains, groups = by_domain(reader), by_group(reader)
        settings = [source.settings for source in connection.sources]
        unknown = unknown_members(reader, settings, nested=connection.population.scope.nested)
        document: dict[str, object] = {
            "domains": domains,
            "groups": groups,
            "unknown_members": [group.as_json() for group in unknown],
        }
        if options.csv:
            written = _write_csv(options.csv, external_users(reader))
            document["csv"] = {"file": str(options.csv), "users": written}
        if options.json:
            users = [dict(zip(_COLUMNS, row, strict=True)) for row in external_users(reader)]
            print_json({**document, "external_users": users, "incomplete": incomplete})
        else:
            show(console(), domains, groups)
            if options.csv:
                console().print(f"{written} external users written to {options.csv}")
            for group in unknown:
                console().print(f"- {group.sentence()}")
            for sentence in incomplete:
                console().print(f"- {sentence}", style="yellow")
    return ExitCode.SOURCE_INCOMPLETE if incomplete else ExitCode.DONE


def by_domain(reader: Connection) -> list[dict[str, Any]]:
    """Count the users in scope by the domain of the address that is sent."""
    rows = reader.execute(
        select(desired_user.c.domain, desired_user.c.external, desired_user.c.provisioned, func.count())
        .where(desired_user.c.problem.is_(None))
        .group_by(desired_user.c.domain, desired_user.c.external, desired_user.c.provisioned)
        .order_by(desired_user.c.external, func.count().desc(), desired_user.c.domain)
    )
    return [
        {"domain": domain, "standing": _standing(external), "provisioned": provisioned, "users": number}
        for domain, external, provisioned, number in rows
    ]


def by_group(reader: Connection) -> list[dict[str, Any]]:
    """Count managed and external users per selected group, and members that no source can name."""
    external = func.sum(desired_user.c.external.cast(desired_group.c.unresolved.type))
    rows = reader.execute(
        select(
            desired_group.c.display_name,
            func.count(desired_user.c.entry_id).label("users"),
            func.coalesce(external, 0).label("external"),
            desired_group.c.unresolved,
        )
        .outerjoin(desired_member, desired_member.c.group_id == desired_group.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
        .group_by(desired_group.c.entry_id, desired_group.c.display_name, desired_group.c.unresolved)
        .order_by(func.lower(desired_group.c.display_name))
    )
    return [
        {
            "group": row.display_name,
            "managed": row.users - row.external,
            "external": row.external,
            "unresolved": row.unresolved,
        }
        for row in rows
    ]


def external_users(reader: Connection) -> Iterator[tuple[object, ...]]:
    """Yield every external user in scope, in the order of _COLUMNS."""
    rows = reader.execute(
        select(desired_user, entry.c.dn, entry.c.source)
        .join(entry, entry.c.id == desired_user.c.entry_id)
        .where(desired_user.c.external, desired_user.c.problem.is_(None))
        .order_by(desired_user.c.domain, desired_user.c.email)
    ).all()
    for row in rows:
        groups = reader.execute(
            select(desired_group.c.display_name)
            .join(desired_member, desired_member.c.group_id == desired_group.c.entry_id)
            .where(desired_member.c.user_id == row.entry_id)
            .order_by(desired_group.c.display_name)
        ).scalars()
        yield (
            row.email,
            row.domain,
            _standing(row.external),
            row.provisioned,
            row.active,
            row.dn,
            row.source,
            "; ".join(groups),
        )


def show(out: Console, domains: list[dict[str, Any]], groups: list[dict[str, Any]]) -> None:
    """Print both tables; without a terminal, plain lines."""
    if not out.is_terminal:
        for item in domains:
            skipped = "" if item["provisioned"] else ", skipped"
            out.print(f"domain {item['domain']}: {item['users']} {item['standing']}{skipped}")
        for item in groups:
            unresolved = f", {item['unresolved']} that no source can name" if item["unresolved"] else ""
            out.print(f"group {item['group']}: {item['managed']} managed, {item['external']} external{unresolved}")
        return
    table = Table(title="Users in scope, by domain", title_justify="left")
    for heading in ("domain", "standing", "provisioned"):
        table.add_column(heading)
    table.add_column("users", justify="right")
    for item in domains:
        style = "cyan" if item["standing"] == "external" else ""
        provisioned = "yes" if item["provisioned"] else "skipped"
        table.add_row(item["domain"], item["standing"], provisioned, str(item["users"]), style=style)
    out.print(table)
    table = Table(title="Selected groups", title_justify="left")
    table.add_column("group")
    for heading in ("managed", "external", "unknown"):
        table.add_column(heading, justify="right")
    for item in groups:
        table.add_row(item["group"], str(item["managed"]), str(item["external"]), str(item["unresolved"] or ""))
    out.print(table)


def _standing(external: bool) -> str:  # noqa: FBT001 - it is the one thing this function is about
    return "external" if external else "managed"


def _write_csv(path: Path, users: Iterator[tuple[object, ...]]) -> int:
    number = 0
    try:
        # utf-8-sig and CRLF: spreadsheets take anything else for another character set or one long line.
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            for number, row in enumerate(users, start=1):  # noqa: B007 - the last number is the count
                writer.writerow([_harmless(cell) for cell in row])
    except OSError as error:
        raise UsageProblem(f"The file {path} cannot be written: {error.strerror}. Name another with --csv.") from error
    return number


def _harmless(cell: object) -> object:
    # A spreadsheet would run a cell that begins like a formula; directory values are not ours to trust.
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell
