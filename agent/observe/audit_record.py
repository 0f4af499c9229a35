"""The records of the audit trail. Whoever reads the trail finds here, and only here, what is in it.

One record stands for one operation. An operation may take several write requests (members in parts, attempts that were
repeated, an account that is taken over) or none (what was there already as wanted); `writes` says how many.

    at           when the record was written, UTC, ISO 8601
    installation the name of the state, which its back-ups bear, too; that of another connection has another
    upstream     the address of the service
    cycle_id     the cycle, as `rollcall status` names it
    number       of the operation in its cycle; with cycle_id it names the record
    verb         "create user", "add members" …: the verbs of agent/plan/operations.py
    label        whom it is about: a userName, a group's name
    entry        the number of that entry in the state
    dn, source   the entry, as its source spells it
    anchor       its immutable identity there
    address      a user's e-mail address, of an account that was made or taken over the one it has there; else null
    scim_id      its id upstream; null where there is none (yet)
    members      of member changes: {"entry", "scim_id", "user_name", "cause"} each
    cause        why: the rule, the group or the evidence
    evidence     how the sources that this rests upon were read in this cycle: {"source", "server", "extent",
                 "completeness", "note", "position"} each
    approved_by  who let it through, where the guard had held it; else null
    result       done, rejected, interrupted (then it may have taken effect, in part or whole)
    detail       what was done, or the upstream's words
    writes       the number of write requests; null where the agent was killed before it could say

Keys are added and never change their meaning. Records of older versions have fewer keys, and plain entry numbers as
`members`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from agent.directory.outcome import SourceOutcome
from agent.plan.operations import CreateGroup, CreateUser, Member, Operation, ReadMembers, UpdateGroup, UpdateUser
from agent.plan.plan import name_of
from agent.plan.reasons import Reason, reason_of
from agent.population.scope import Selection
from agent.state.database import batched
from agent.state.tables import entry, former_account, ledger_group, ledger_user
from agent.upstream.push import Outcome, Result

Record = dict[str, Any]
_BATCH = 500
_ABOUT_GROUPS = (CreateGroup, UpdateGroup, ReadMembers)


@dataclass(frozen=True, slots=True)
class Background:
    """What all records of one cycle have in common.

    approved:      the removals that somebody let through, and who
    installation:  the name of the state, which its back-ups bear, too
    upstream:      the address of the service
    """

    cycle_id: str
    outcomes: Sequence[SourceOutcome]
    selection: Selection
    approved: Mapping[tuple[str, str], str] = field(default_factory=dict)
    installation: str = ""
    upstream: str = ""


def begun(reader: Connection, background: Background, operation: Operation, number: int) -> Record:
    """Return the record of an operation that is about to be carried out."""
    subject, members = operation.subject, tuple(getattr(operation, "members", ()))
    about = reader.execute(
        select(entry.c.dn, entry.c.source, entry.c.anchor).where(entry.c.id == subject.entry_id)
    ).one()
    sources = {about.source, *_sources_of(reader, members)}
    reason = reason_of(reader, background.selection, operation)
    return {
        "at": "",
        "installation": background.installation,
        "upstream": background.upstream,
        "cycle_id": background.cycle_id,
        "number": number,
        "verb": operation.verb,
        "label": subject.label,
        "entry": subject.entry_id,
        "dn": about.dn,
        "source": about.source,
        "anchor": about.anchor,
        "address": _address(reader, operation),
        "scim_id": getattr(operation, "scim_id", None) or None,
        "members": _described(reader, members, reason),
        "cause": reason.text,
        "evidence": [_evidence(outcome) for outcome in background.outcomes if outcome.source in sources],
        "approved_by": background.approved.get(name_of(operation)),
        "result": str(Result.INTERRUPTED),
        "detail": "",
        "writes": None,
    }


def ended(reader: Connection, record: Record, outcome: Outcome) -> Record:
    """Return the record with its outcome."""
    scim_id = record["scim_id"] or _scim_id(reader, outcome.operation)
    told = {"result": str(outcome.result), "detail": outcome.detail, "writes": outcome.writes}
    if isinstance(outcome.operation, CreateUser) and outcome.result is Result.DONE:
        # Whoever is taken over may keep an address that is another one than the directory's.
        told["address"] = _held_address(reader, outcome.operation) or record["address"]
    return record | {"at": _now(), "scim_id": scim_id} | told


def cut_off(record: Record) -> Record:
    """Return the record of an operation whose end nobody saw. One that has an outcome could not be written down."""
    if record["at"]:
        return record
    detail = "the agent was ended before it could record the outcome; the next cycle looks what stands upstream"
    return record | {"at": _now(), "detail": detail}


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _scim_id(reader: Connection, operation: Operation) -> str | None:
    table = ledger_group if isinstance(operation, _ABOUT_GROUPS) else ledger_user
    known = select(table.c.scim_id).where(table.c.entry_id == operation.subject.entry_id)
    return reader.execute(known).scalar()


def _address(reader: Connection, operation: Operation) -> str | None:
    if isinstance(operation, CreateUser | UpdateUser):
        return operation.address.email or None
    return _held_address(reader, operation)


def _held_address(reader: Connection, operation: Operation) -> str | None:
    known = select(ledger_user.c.email).where(ledger_user.c.entry_id == operation.subject.entry_id)
    return reader.execute(known).scalar() or None


def _sources_of(reader: Connection, members: Sequence[Member]) -> set[str]:
    sources: set[str] = set()
    for some in batched((member.entry_id for member in members), _BATCH):
        sources.update(reader.execute(select(entry.c.source).where(entry.c.id.in_(some)).distinct()).scalars())
    return sources


def _described(reader: Connection, members: Sequence[Member], reason: Reason) -> list[Record]:
    names: dict[str, str] = {}
    for some in batched((member.scim_id for member in members), _BATCH):
        for table in (former_account, ledger_user):
            rows = select(table.c.scim_id, table.c.user_name).where(table.c.scim_id.in_(some))
            names |= {row.scim_id: row.user_name for row in reader.execute(rows)}
    return [
        {
            "entry": member.entry_id,
            "scim_id": member.scim_id,
            "user_name": names.get(member.scim_id, ""),
            "cause": reason.of_members.get(member.entry_id, ""),
        }
        for member in members
    ]


def _evidence(outcome: SourceOutcome) -> Record:
    return {
        "source": outcome.source,
        "server": outcome.server,
        "extent": outcome.extent.value,
        "completeness": outcome.completeness.value,
        "note": outcome.note,
        "position": outcome.position,
    }
