"""Why an operation is carried out, in words: the group that leads there, or the rule, or what is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from agent.directory.ways_in import ways_into
from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    Operation,
    ReadMembers,
    RemoveMembers,
    UpdateGroup,
    UpdateUser,
)
from agent.plan.removals import cause_of
from agent.population.scope import Selection
from agent.state.tables import desired_group, desired_member, entry, ledger_user
from connectors.distinguished_name import normalise

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an operation is carried out; `of_members`, by entry number, where it is about members."""

    text: str
    of_members: Mapping[int, str]


def reason_of(reader: Connection, selection: Selection, operation: Operation) -> Reason:
    """Say why, as of now: after the operation the ledger may not tell any more."""
    match operation:
        case AddMembers():
            of_members = _why_added(reader, operation)
            return Reason("; ".join(sorted(set(of_members.values()))), of_members)
        case RemoveMembers():
            return Reason(cause_of(operation), {member.entry_id: member.cause for member in operation.members})
        case CreateUser():
            text = _wanted_in(reader, operation.subject.entry_id)
            if operation.replaces:
                text = f"{text}; in place of the account {operation.replaces}, which has another address"
        case UpdateUser():
            text = _why_updated(reader, operation)
        case CreateGroup():
            text = _selected_by(reader, selection, operation)
        case UpdateGroup():
            text = "it has another name in the directory than upstream"
        case ReadMembers():
            text = "whom it has upstream is not known: it was taken over, or a change of its members was not confirmed"
        case _:
            text = cause_of(operation)
    return Reason(text, {})


def _wanted_in(reader: Connection, number: int) -> str:
    groups = (
        select(desired_group.c.display_name)
        .join(desired_member, desired_member.c.group_id == desired_group.c.entry_id)
        .where(desired_member.c.user_id == number, desired_member.c.provisioned)
    )
    ordered = groups.order_by(func.lower(desired_group.c.display_name)).limit(_SHOWN + 1)
    names = reader.execute(ordered).scalars().all()
    more = " and others" if len(names) > _SHOWN else ""
    return f"member of {', '.join(names[:_SHOWN])}{more}"


def _why_updated(reader: Connection, operation: UpdateUser) -> str:
    number = operation.subject.entry_id
    if operation.locked:
        return f"to be in its groups again: {_wanted_in(reader, number)}"
    active = reader.execute(select(ledger_user.c.active).where(ledger_user.c.entry_id == number)).scalar()
    if active is False:
        return f"to be active again: {_wanted_in(reader, number)}"
    return "its attributes in the directory are not those that the upstream has acknowledged"


def _selected_by(reader: Connection, selection: Selection, operation: CreateGroup) -> str:
    dn = reader.execute(select(entry.c.dn).where(entry.c.id == operation.subject.entry_id)).scalar_one()
    lines = selection.lines(normalise(dn), operation.subject.label)
    return f"selected by {', '.join(lines)} ([scope] groups)" if lines else "selected by [scope] groups"


def _why_added(reader: Connection, operation: AddMembers) -> dict[int, str]:
    group, numbers = operation.subject, [member.entry_id for member in operation.members]
    ways = ways_into(reader, group.entry_id, numbers)
    reasons = {}
    for number in numbers:
        way = ways.get(number)
        through = f" through {' > '.join(way)}" if way else ""
        reasons[number] = f"listed in group {group.label}{through}" if way is not None else "wanted in the group"
    return reasons
