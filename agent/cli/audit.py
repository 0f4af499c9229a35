"""`rollcall audit`: what was written upstream, when, why and with what outcome."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.terminal import console, harmless, printable
from agent.errors import ExitCode, UsageProblem
from agent.observe.audit_search import Record, Sought, members_of, moment_of, search
from agent.plan.operations import VERBS
from agent.settings_values import parse_duration

_MEMBERS_SHOWN = 5
COLUMNS = (
    "at", "cycle_id", "verb", "label", "address", "dn", "source", "scim_id", "members", "cause", "result", "detail",
    "writes", "approved_by",
)  # fmt: skip


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("audit", parents=[common], help="what was written upstream, when and why")
    moment = "a time ago, like 24h or 7d, or a day or moment in UTC, like 2026-11-01 or 2026-11-01T12:00"
    parser.add_argument("--since", metavar="WHEN", help=f"records from then on: {moment}")
    parser.add_argument("--until", metavar="WHEN", help="records up to then; of a day, the whole day")
    parser.add_argument(
        "--who", metavar="WHO", help="about this user or group: address, user name, DN, SCIM id, or name of a group"
    )
    parser.add_argument("--verb", metavar="VERB", help=f"only this: {', '.join(VERBS)}")
    parser.add_argument(
        "--cycle", metavar="ID", help="of this cycle, or of this person provisioned; rollcall status has the ids"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print one JSON document, whole records in it")
    output.add_argument("--csv", action="store_true", help="print a table for a spreadsheet")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Print the records that are asked for, the newest last."""
    sought = _sought(options)
    directory = open_connection(options).settings.agent.state_dir
    notes: list[str] = []
    records = search(directory, sought, notes)
    if options.json:
        _print_json(records)
    elif options.csv:
        _print_csv(records)
    else:
        _print_lines(records, sought)
    for note in notes:
        print(f"rollcall: {printable(note)}", file=sys.stderr)  # noqa: T201 - standard output has the records
    return ExitCode.DONE


def _sought(options: argparse.Namespace) -> Sought:
    since, until = _moment(options.since, "--since"), _moment(options.until, "--until", end=True)
    if since and until and since > until:
        raise UsageProblem("--since is later than --until, so there is nothing in between. Exchange the two.")
    verb = " ".join(options.verb.split()).lower() if options.verb is not None else None
    if verb is not None and verb not in VERBS:
        raise UsageProblem(f'--verb: there is no "{printable(verb)}". Write one of: {", ".join(VERBS)}.')
    # argparse makes a list of a lone "--".
    if options.who is not None and (not isinstance(options.who, str) or not options.who.strip()):
        raise UsageProblem("--who is empty. Name an address, a user name, a DN, a SCIM id, or a group.")
    if options.cycle is not None and (not isinstance(options.cycle, str) or not options.cycle.strip()):
        raise UsageProblem("--cycle is empty. Name the id of a cycle, as rollcall status prints it.")
    cycle_id = options.cycle.strip().lower() if options.cycle else None
    return Sought(since, until, verb, options.who.strip() if options.who else None, cycle_id)


def _moment(text: str | None, option: str, *, end: bool = False) -> datetime | None:
    """Read a moment: so long ago, or a day or a time, in UTC where no zone is written."""
    if text is None:
        return None
    try:
        ago = parse_duration(text)
        if isinstance(ago, timedelta):
            return datetime.now(UTC) - ago
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
        at = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        whole_day = end and not any(mark in text.strip() for mark in "T :")
        return at + timedelta(days=1, microseconds=-1) if whole_day else at
    except (ValueError, OverflowError):
        raise UsageProblem(
            f'{option}: "{printable(text)}" is no time. Write so long ago, like 24h or 7d, or a day or moment in UTC, '
            "like 2026-11-01 or 2026-11-01T12:00."
        ) from None


def _print_json(records: Iterator[Record]) -> None:
    # One document, though it is written record by record: the trail may be larger than the memory.
    between = "["
    for record in records:
        sys.stdout.write(f"{between}\n{json.dumps(record, ensure_ascii=False)}")
        between = ","
    sys.stdout.write("[]\n" if between == "[" else "\n]\n")
    sys.stdout.flush()


def _print_csv(records: Iterable[Record]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        members = "; ".join(_name_of(member) for member in members_of(record))
        row = [members if column == "members" else record.get(column) for column in COLUMNS]
        writer.writerow(["" if cell is None else harmless(cell) for cell in row])
    sys.stdout.flush()


def _print_lines(records: Iterable[Record], sought: Sought) -> None:
    out, number = console(), 0
    for number, record in enumerate(records, start=1):  # noqa: B007 - the last number is the count
        at = moment_of(record)
        when = f"{at:%Y-%m-%d %H:%M:%S}" if at else "at an unknown time"
        out.print(printable(f"{when}  {record.get('verb')} {record.get('label')}{_with_members(record, sought)}"))
        out.print(printable(f"    {_outcome(record)}"), style=None if record.get("result") == "done" else "yellow")
        out.print(printable(f"    why: {_why(record, sought)}"))
        if record.get("approved_by"):
            out.print(printable(f"    held by the guard, approved by {record['approved_by']}"))
    if not number:
        out.print("No record of the audit trail is about that.")


def _with_members(record: Record, sought: Sought) -> str:
    members = members_of(record)
    if not members:
        return ""
    first = [member for member in members if sought.is_member(member)]
    shown = (first or members)[:_MEMBERS_SHOWN]
    more = f" and {len(members) - len(shown)} more" if len(members) > len(shown) else ""
    return f": {', '.join(_name_of(member) for member in shown)}{more}"


def _outcome(record: Record) -> str:
    writes = record.get("writes")
    requests = "1 write" if writes == 1 else f"{writes} writes" if isinstance(writes, int) else "writes not counted"
    detail = f": {record['detail']}" if record.get("detail") else ""
    return f"{record.get('result')}{detail} ({requests})"


def _why(record: Record, sought: Sought) -> str:
    of_members = sorted({str(m["cause"]) for m in members_of(record) if sought.is_member(m) and m.get("cause")})
    cause = "; ".join(of_members) or record.get("cause") or "not recorded"
    read = [
        f"source {item.get('source')}, {item.get('completeness')} {item.get('extent')} read"
        + (f" of {item['server']}" if item.get("server") else "")
        + (f", {item['position']}" if item.get("position") else "")
        for item in record.get("evidence") or []
        if isinstance(item, dict)
    ]
    return f"{cause} [{'; '.join(read)}]" if read else str(cause)


def _name_of(member: Record) -> str:
    return str(member.get("user_name") or member.get("scim_id") or f"entry {member.get('entry')}")
