"""The member lists of the mirror: what each group lists itself, name by name, as the source sent it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, insert, select, update

from agent.directory.elsewhere import listed_elsewhere, of_groups_out_of_sight
from agent.directory.marks import mark
from agent.state.database import batched
from agent.state.tables import entry, membership, name
from connectors.base import MemberList, Name, NameKind

_BATCH = 500
# Names that change when their owner is renamed or moved.
_RENAMED = (NameKind.DN, NameKind.UID)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A list that lost some names and got others, of which it is not known yet whose they are.

    Somebody may have been renamed between the moment when people were read and the moment when groups were.

    old:  the lost names are as old as a back-up: whoever has them is not in the list for that
    """

    group_id: int
    lost: frozenset[Name] = frozenset()
    new: frozenset[Name] = frozenset()
    old: bool = False


def replace_members(
    connection: Connection, group_id: int, members: MemberList | None, before: Exchange | None = None
) -> Exchange:
    """Take over a whole list; None empties it. A list that was cut short proves no absence, and takes nobody out.

    Returns the exchange of names, for `settle_exchanges` at the end of the read; until then the lost ones stay.
    `before` is what an earlier list of the same read left to be settled: the later list takes its place.
    """
    before = before or Exchange(group_id)
    held = _listed(connection, group_id)
    wanted = set() if members is None else set(members.names)
    new, lost = wanted - held, held - wanted
    _enter(connection, group_id, new)
    if members is not None and not members.complete:
        return replace(before, lost=before.lost - wanted)
    new_to_us = frozenset(item for item in new | (before.new & wanted) if item.kind in _RENAMED)
    if lost and (new_to_us or of_groups_out_of_sight(connection, lost)):
        return replace(before, lost=frozenset(lost), new=new_to_us)
    _strike(connection, group_id, lost)
    return Exchange(group_id)


def settle_exchanges(connection: Connection, exchanges: Iterable[Exchange]) -> list[int]:
    """Take the lost names out where it is known whose the new ones are. Returns the groups where it is not.

    Whoever is gone has not been renamed: those names are taken out in any case, but for a nested group that is out of
    sight and may stand in the list by a name that nobody has.
    """
    in_doubt = []
    for exchange in exchanges:
        kept: set[Name] = set()
        if not all(_owned(connection, some) for some in batched(sorted(exchange.new), _BATCH)):
            for some in batched(sorted(exchange.lost), _BATCH):
                kept |= _of_present_entries(connection, some)
        elsewhere = listed_elsewhere(connection, exchange.group_id, exchange.lost, exchange.new)
        stay = elsewhere if exchange.old else kept | elsewhere
        _strike(connection, exchange.group_id, exchange.lost - stay)
        if elsewhere:
            # No digest: the next read of the whole compares again.
            connection.execute(update(entry).where(entry.c.id == exchange.group_id).values(digest=""))
        if kept:
            in_doubt.append(exchange.group_id)
    return in_doubt


def list_is_of_today(connection: Connection, group_id: int, *, forget: bool) -> None:
    """Take note that a list is no longer as old as a back-up. forget: without comparing it with what comes now."""
    if forget:
        connection.execute(delete(membership).where(membership.c.group_id == group_id))
    connection.execute(update(entry).where(entry.c.id == group_id).values(old_list=False))


def change_members(connection: Connection, group_id: int, added: Iterable[Name], removed: Iterable[Name]) -> None:
    """Take over what changed in a list."""
    _enter(connection, group_id, set(added) - _listed(connection, group_id))
    _strike(connection, group_id, removed)


def strike_from(connection: Connection, group_id: int, member: Name) -> None:
    """Take one name out of one list."""
    _strike(connection, group_id, [member])


def strike_from_groups_of(connection: Connection, source: str, members: Iterable[Name]) -> None:
    """Take names out of every list of one source, and mark the groups. What another source lists is its own affair."""
    for member in sorted(members):
        same = membership.c.kind == member.kind.value, membership.c.value == member.value
        listing = select(membership.c.group_id).join(entry, entry.c.id == membership.c.group_id)
        groups = list(connection.execute(listing.where(*same, entry.c.source == source)).scalars())
        mark(connection, groups, references_too=True)
        for some in batched(groups, _BATCH):
            connection.execute(delete(membership).where(*same, membership.c.group_id.in_(some)))
            # No digest: a list that has them again is taken in, though it is the one that came before.
            connection.execute(update(entry).where(entry.c.id.in_(some)).values(digest=""))


def _owned(connection: Connection, names: list[Name]) -> bool:
    for kind in _RENAMED:
        values = {item.value for item in names if item.kind is kind}
        owned = select(name.c.value).where(name.c.kind == kind.value, name.c.value.in_(values)).distinct()
        if len(connection.execute(owned).all()) < len(values):
            return False
    return True


def _of_present_entries(connection: Connection, names: list[Name]) -> set[Name]:
    rows = connection.execute(
        select(name.c.kind, name.c.value)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(name.c.value.in_([item.value for item in names]), entry.c.present)
    )
    return {Name(NameKind(row.kind), row.value) for row in rows} & set(names)


def _listed(connection: Connection, group_id: int) -> set[Name]:
    rows = connection.execute(select(membership.c.kind, membership.c.value).where(membership.c.group_id == group_id))
    return {Name(NameKind(row.kind), row.value) for row in rows}


def _enter(connection: Connection, group_id: int, members: set[Name]) -> None:
    rows = [{"group_id": group_id, "kind": item.kind.value, "value": item.value} for item in sorted(members)]
    for some in batched(rows, _BATCH):
        connection.execute(insert(membership), some)


def _strike(connection: Connection, group_id: int, members: Iterable[Name]) -> None:
    for member in sorted(members):
        connection.execute(
            delete(membership).where(
                membership.c.group_id == group_id,
                membership.c.kind == member.kind.value,
                membership.c.value == member.value,
            )
        )
