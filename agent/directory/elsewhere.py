"""Nested groups that are out of sight, and which names of a list may be theirs now.

A group that moves out of the bases can be given another name on the way, and the server corrects the lists that have
it. What such a list holds then is a name of nobody. It is unknown, not gone: its people stay (invariant 2).
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, exists, select

from agent.state.database import batched, upsert
from agent.state.tables import entry, exchanged_name, membership, name
from connectors.base import EntryKind, Name, NameKind
from connectors.distinguished_name import relative_name

_BATCH = 500


def of_groups_out_of_sight(connection: Connection, names: Iterable[Name]) -> set[Name]:
    """Return the names of groups that are gone and not known to be deleted: these keep what they listed."""
    found: set[Name] = set()
    for some in batched(sorted(item for item in names if item.kind is NameKind.DN), _BATCH):
        rows = connection.execute(
            select(name.c.value)
            .join(entry, entry.c.id == name.c.entry_id)
            .where(
                name.c.kind == NameKind.DN.value,
                name.c.value.in_([item.value for item in some]),
                entry.c.kind == EntryKind.GROUP.value,
                entry.c.present.is_(False),
                exists().where(membership.c.group_id == entry.c.id),
            )
        )
        found |= {Name(NameKind.DN, row.value) for row in rows}
    return found


def listed_elsewhere(connection: Connection, group_id: int, lost: Iterable[Name], new: Iterable[Name]) -> set[Name]:
    """Return the lost names of groups that the list seems to hold by another name, one that nobody has.

    That is an unknown member of the same relative name, or one that came into the list when the lost name left it.
    Of the latter it is remembered which: people who come later are not taken for the group.
    """
    out_of_sight = of_groups_out_of_sight(connection, lost)
    if not out_of_sight:
        connection.execute(delete(exchanged_name).where(exchanged_name.c.group_id == group_id))
        return set()
    unknown = _unknown(connection, group_id) - {item.value for item in lost}
    came = {item.value for item in new} & unknown
    relative_names = {relative_name(value) for value in unknown}
    remembered = _remembered(connection, group_id)
    elsewhere = set()
    for item in out_of_sight:
        candidates = remembered.get(item.value, came) & unknown
        if candidates:
            _remember(connection, group_id, item, candidates)
        if candidates or relative_name(item.value) in relative_names:
            elsewhere.add(item)
        else:
            _forget(connection, group_id, item)
    return elsewhere


def _unknown(connection: Connection, group_id: int) -> set[str]:
    rows = connection.execute(
        select(membership.c.value).where(
            membership.c.group_id == group_id,
            membership.c.kind == NameKind.DN.value,
            ~exists().where(name.c.kind == membership.c.kind, name.c.value == membership.c.value),
        )
    )
    return {row.value for row in rows}


def _remembered(connection: Connection, group_id: int) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in connection.execute(select(exchanged_name).where(exchanged_name.c.group_id == group_id)):
        found.setdefault(row.lost, set()).add(row.new)
    return found


def _remember(connection: Connection, group_id: int, lost: Name, candidates: set[str]) -> None:
    rows = [{"group_id": group_id, "lost": lost.value, "new": new} for new in sorted(candidates)]
    upsert(connection, exchanged_name, rows)


def _forget(connection: Connection, group_id: int, lost: Name) -> None:
    connection.execute(
        delete(exchanged_name).where(exchanged_name.c.group_id == group_id, exchanged_name.c.lost == lost.value)
    )
