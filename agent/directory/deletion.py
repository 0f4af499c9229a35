"""Entries of which the source itself said that they are gone."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from agent.directory.members import strike_from_groups_of
from agent.directory.names import names_of, qualified
from agent.directory.presence import is_a_listed_group, lose, number_of
from agent.state.tables import entry, membership, name
from connectors.base import EntryDeleted, Name, NameKind


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of it.

    gone:       how many entries of the mirror went
    listed:     it is a group that others list, and it may only be out of sight: their lists tell
    inherited:  names by which another entry may be meant that had them before the deletion was told
    """

    gone: int
    listed: bool = False
    inherited: frozenset[Name] = frozenset()


def delete_entry(
    connection: Connection, source: str, event: EntryDeleted, read_number: int, entered: AbstractSet[Name]
) -> Deleted:
    """Let go of an entry, and take it out of the groups of its source if the source has done so.

    entered: names that single changes of this read brought into lists
    """
    number = number_of(connection, source, event.anchor)
    names = {qualified(given, source) for given in event.names}
    listed = False
    if number is not None:
        names |= names_of(connection, [number])
        listed = not event.from_groups and is_a_listed_group(connection, number)
        lose(connection, [number], event.evidence, read_number)
        if not listed and not event.exists:
            # The source itself said so: a group that still lists it is out of date, and nothing of it is kept.
            connection.execute(delete(membership).where(membership.c.group_id == number))
    gone = 0 if number is None else 1
    if not event.from_groups:
        return Deleted(gone, listed=listed and not event.exists)
    inherited = {
        item
        for item in names
        if item.kind is not NameKind.GUID  # that is never another's
        and (item in entered or _is_of_another(connection, source, event.anchor, item, read_number))
    }
    # It may come back under the same names, and then it is in none of these groups.
    strike_from_groups_of(connection, source, names - inherited)
    return Deleted(gone, inherited=frozenset(inherited))


def _is_of_another(connection: Connection, source: str, anchor: str, item: Name, read_number: int) -> bool:
    """Tell whether another entry of the source has the name, or a list that came in this read, and may be newer."""
    had = (
        select(entry.c.id)
        .join(name, name.c.entry_id == entry.c.id)
        .where(
            name.c.kind == item.kind.value,
            name.c.value == item.value,
            name.c.former_since.is_(None),
            entry.c.anchor != anchor,
        )
    )
    listed = (
        select(entry.c.id)
        .join(membership, membership.c.group_id == entry.c.id)
        .where(
            membership.c.kind == item.kind.value,
            membership.c.value == item.value,
            entry.c.content_read == read_number,
        )
    )
    return any(
        connection.execute(others.where(entry.c.source == source, entry.c.present).limit(1)).first()
        for others in (had, listed)
    )
