"""People known second-hand: a source names them in its lists, and a third party, the global catalogue, knows them.

They are in the mirror under a heading of their own, whichever source asked: so no read of a source concludes from their
absence that they are gone, and two sources that ask for the same person get the same entry. As soon as a source reads
one itself, under the same anchor, that entry takes the place of this one (agent/directory/former_sources.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from agent.directory.content import Received, receive
from agent.directory.presence import lose
from agent.directory.unread import unread_in
from agent.state.database import State, batched
from agent.state.tables import entry, membership, name, source
from connectors.base import Completeness, Entry, EntryDeleted, EntryKind, NameKind, Reach, SourceSettings

CATALOGUE = "(global catalogue)"
# Another catalogue may know less than the one that was asked before, for about as long as replication takes.
BELIEVED_AFTER = timedelta(hours=1)
_MISSED = "missed since "
_BATCH = 500
_AT_ONCE = 500
_NO_READ = 0
_GUID = 36  # characters
_of_catalogue = (entry.c.source == CATALOGUE, entry.c.present)


def receive_second_hand(
    connection: Connection, found: Sequence[Entry], read_number: int, sources: Sequence[SourceSettings]
) -> Received:
    """Take in entries that lie in the domain of none of these sources, and that none of them has itself.

    What lies in the domain of a source is that one's to tell: it knows sooner who was deleted, and whoever it leaves
    out by its bases and filters is not to come in by another way. Once it has been read, what was known goes.
    """
    anchors = [item.anchor for item in found]
    names = [settings.name for settings in sources]
    first_hand = set(
        connection.execute(
            select(entry.c.anchor).where(entry.c.source.in_(names), entry.c.anchor.in_(anchors), entry.c.present)
        ).scalars()
    )
    owners = {item.anchor: owner for item in found if (owner := _owner(item, sources))}
    kept = [item for item in found if item.anchor not in first_hand and item.anchor not in owners]
    seen_again = entry.c.anchor.in_([item.anchor for item in kept]), entry.c.gone_evidence.is_not(None)
    connection.execute(update(entry).where(*_of_catalogue, *seen_again).values(gone_evidence=None))
    _leave_to_owners(connection, {anchor: owner for anchor, owner in owners.items() if anchor not in first_hand})
    return receive(connection, CATALOGUE, kept, read_number, {})


def _owner(item: Entry, sources: Sequence[SourceSettings]) -> str:
    """Return the source in whose domain it lies."""
    dn = next((name.value for name in item.names if name.kind is NameKind.DN), "")
    return next((settings.name for settings in sources if settings.reach(dn) is not Reach.ELSEWHERE), "")


def _leave_to_owners(connection: Connection, owners: Mapping[str, str]) -> None:
    read = select(source.c.name).where(
        source.c.name.in_(sorted({*owners.values()})),
        source.c.last_complete_at.is_not(None),
        source.c.completeness == Completeness.COMPLETE.value,
    )
    for owner in connection.execute(read).scalars().all():
        theirs = [anchor for anchor, its in owners.items() if its == owner]
        numbers = connection.execute(select(entry.c.id).where(*_of_catalogue, entry.c.anchor.in_(theirs))).scalars()
        lose(connection, list(numbers), f"source {owner} reads its domain, and does not have it", _NO_READ)


def delete_second_hand(connection: Connection, event: EntryDeleted, read_number: int) -> int:
    """Let go of an entry once that was said again a while after, or at once when it is there and none of ours.

    Returns how many went.
    """
    row = connection.execute(
        select(entry.c.id, entry.c.gone_evidence).where(*_of_catalogue, entry.c.anchor == event.anchor)
    ).first()
    if row is None:
        return 0
    now = datetime.now(UTC)
    missed = datetime.fromisoformat(row.gone_evidence.removeprefix(_MISSED)) if row.gone_evidence else None
    if event.exists or (missed and now - missed >= BELIEVED_AFTER):
        lose(connection, [row.id], event.evidence, read_number)
        return 1
    if missed is None or missed > now:  # by a clock that was ahead
        connection.execute(
            update(entry).where(entry.c.id == row.id).values(gone_evidence=f"{_MISSED}{now.isoformat()}")
        )
    return 0


def forget_unlisted(connection: Connection) -> None:
    """Let go of those that no group lists any more: nobody asks for them, so what is known of them grows old.

    Whom the back-up of a restored state has, lists may name that were not read since.
    """
    listed = exists().where(
        name.c.entry_id == entry.c.id, membership.c.kind == name.c.kind, membership.c.value == name.c.value
    )
    numbers = connection.execute(select(entry.c.id).where(*_of_catalogue, ~listed, ~unread_in(entry))).scalars().all()
    for some in batched(numbers, _BATCH):
        lose(connection, some, "no group lists it any more", _NO_READ)


def to_look_up(state: State, source_name: str) -> Mapping[str, str]:
    """Return members of the source's groups in other domains, by GUID with their DN, for an increment to look up.

    Those that nobody can name, and those that are known second-hand; of many, some others each time.
    """
    has_guid = (name.c.kind == NameKind.GUID.value) & (name.c.value == func.substr(membership.c.value, 1, _GUID))
    owned = select(entry.c.id).join(name, name.c.entry_id == entry.c.id).where(has_guid, entry.c.present)
    wanted: dict[str, str] = {}
    with state.read() as connection:
        read_number = connection.execute(select(source.c.read_number).where(source.c.name == source_name)).scalar() or 0
        for condition in (~owned.exists(), owned.where(entry.c.source == CATALOGUE).exists()):
            wanted |= _some(connection, source_name, condition, read_number)
    return wanted


def _some(connection: Connection, source_name: str, condition: ColumnElement[bool], read_number: int) -> dict[str, str]:
    lister = entry.alias("lister")
    listed = (
        select(membership.c.value)
        .distinct()
        .join(lister, lister.c.id == membership.c.group_id)
        .where(
            membership.c.kind == NameKind.FOREIGN_DN.value,
            lister.c.source == source_name,
            lister.c.present,
            lister.c.kind == EntryKind.GROUP.value,
            condition,
        )
    )
    many = connection.execute(select(func.count()).select_from(listed.subquery())).scalar_one()
    start = read_number * _AT_ONCE % many if many > _AT_ONCE else 0
    rows = connection.execute(listed.order_by(membership.c.value).offset(start).limit(_AT_ONCE)).scalars()
    parted = (value.partition(" ") for value in rows)
    return {guid: dn for guid, _, dn in parted}
