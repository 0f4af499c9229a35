"""Which entries are there: what a read mentions, and what is missing at the end."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from agent.directory.marks import mark, mark_referrers
from agent.directory.names import forget_names
from agent.state.database import batched
from agent.state.tables import entry, membership, name
from connectors.base import EntryKind

_BATCH = 500
# A source that held some of these and shows none any more is hardly meant.
_POPULATION = (EntryKind.USER, EntryKind.GROUP)


def number_of(connection: Connection, source: str, anchor: str) -> int | None:
    """Return the number of an entry that is there."""
    return connection.execute(
        select(entry.c.id).where(entry.c.source == source, entry.c.anchor == anchor, entry.c.present)
    ).scalar()


def mention(connection: Connection, source: str, anchors: list[str], read_number: int) -> set[str]:
    """Note that these were seen, and return those that the mirror has."""
    these = entry.c.source == source, entry.c.anchor.in_(anchors), entry.c.present
    known = set(connection.execute(select(entry.c.anchor).where(*these)).scalars())
    if known:
        connection.execute(update(entry).where(*these).values(last_seen=read_number))
    return known


def lose_unmentioned(connection: Connection, source: str, evidence: str, read_number: int) -> int:
    """Let go of what a read that mentions everything did not mention. Returns how many went."""
    numbers = list(connection.execute(select(entry.c.id).where(*_unmentioned(source, read_number))).scalars())
    for some in batched(numbers, _BATCH):
        lose(connection, some, evidence, read_number)
    return len(numbers)


def unmentioned_kind(connection: Connection, source: str, read_number: int) -> tuple[EntryKind, int] | None:
    """Return a kind of which the source held some and mentioned none, and how many it held."""
    for kind in _POPULATION:
        held = _count(connection, entry.c.source == source, entry.c.present, entry.c.kind == kind.value)
        if held and held == _count(connection, *_unmentioned(source, read_number), entry.c.kind == kind.value):
            return kind, held
    return None


def lose(connection: Connection, numbers: list[int], evidence: str, read_number: int) -> None:
    """Let go of entries: they keep their numbers, and their names become former ones."""
    mark(connection, numbers, references_too=True)
    mark_referrers(connection, numbers)
    forget_names(connection, numbers, read_number)
    connection.execute(update(entry).where(entry.c.id.in_(numbers)).values(present=False, gone_evidence=evidence))


def is_a_listed_group(connection: Connection, number: int) -> bool:
    """Tell whether it is a group with members that a group lists which is there."""
    lister = entry.alias()
    listing = membership.alias()
    listed = (
        select(lister.c.id)
        .join(listing, listing.c.group_id == lister.c.id)
        .join(name, (name.c.kind == listing.c.kind) & (name.c.value == listing.c.value))
        .where(name.c.entry_id == number, lister.c.present, lister.c.id != number)
        .where(exists().where(membership.c.group_id == number))
        .limit(1)
    )
    return connection.execute(listed).first() is not None


def listed_groups_unmentioned(connection: Connection, source: str, read_number: int) -> list[str]:
    """Return the anchors of such groups that this read did not mention."""
    groups = select(entry.c.id, entry.c.anchor).where(
        *_unmentioned(source, read_number), entry.c.kind == EntryKind.GROUP.value
    )
    rows = connection.execute(groups).all()
    return [row.anchor for row in rows if is_a_listed_group(connection, row.id)]


def populated_kinds(connection: Connection, source: str) -> set[EntryKind]:
    """Return the kinds of which the source holds any."""
    return {
        kind
        for kind in _POPULATION
        if connection.execute(
            select(entry.c.id).where(entry.c.source == source, entry.c.present, entry.c.kind == kind.value).limit(1)
        ).first()
    }


def plural(kind: EntryKind) -> str:
    """Say the kind to people."""
    return "people" if kind is EntryKind.USER else "groups"


def _unmentioned(source: str, read_number: int) -> tuple[ColumnElement[bool], ...]:
    return entry.c.source == source, entry.c.present, entry.c.last_seen < read_number


def _count(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(entry).where(*conditions)
    return connection.execute(statement).scalar_one()
