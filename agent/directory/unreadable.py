"""Entries that a source shows and that cannot be understood: known to be there, and told until somebody mends them.

An incremental read brings only what changed, so the mirror has to remember them between reads.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, select, update

from agent.state.database import State, batched, upsert
from agent.state.tables import source, unreadable
from connectors.base import EntryUnreadable

_BATCH = 500
_AT_ONCE = 200


def remember_unreadable(connection: Connection, source: str, item: EntryUnreadable, read_number: int) -> None:
    """Record one. Without an anchor it cannot be told from others: such a read is not COMPLETE anyway."""
    if item.anchor is not None:
        row = {"source": source, "anchor": item.anchor, "dn": item.dn, "reason": item.reason, "last_seen": read_number}
        upsert(connection, unreadable, [row])


def forget_unreadable(connection: Connection, source: str, anchors: Iterable[str]) -> None:
    """They are gone, or can be understood now."""
    for some in batched(anchors, _BATCH):
        connection.execute(delete(unreadable).where(unreadable.c.source == source, unreadable.c.anchor.in_(some)))


def forget_unseen(connection: Connection, source: str, read_number: int) -> None:
    """A read that mentioned everything did not mention these."""
    connection.execute(delete(unreadable).where(unreadable.c.source == source, unreadable.c.last_seen < read_number))


def still_there(connection: Connection, source: str, anchors: list[str], read_number: int) -> set[str]:
    """Note that the source listed these, and return the ones among them that are known to be unreadable."""
    these = unreadable.c.source == source, unreadable.c.anchor.in_(anchors)
    known = set(connection.execute(select(unreadable.c.anchor).where(*these)).scalars())
    if known:
        connection.execute(update(unreadable).where(*these).values(last_seen=read_number))
    return known


def to_look_at_again(state: State, source_name: str) -> frozenset[str]:
    """Return the anchors of those that may have become readable without a change; of many, some others each time."""
    these = unreadable.c.source == source_name
    with state.read() as connection:
        many = connection.execute(select(func.count()).select_from(unreadable).where(these)).scalar_one()
        read_number = connection.execute(select(source.c.read_number).where(source.c.name == source_name)).scalar() or 0
        start = read_number * _AT_ONCE % many if many > _AT_ONCE else 0
        some = select(unreadable.c.anchor).where(these).order_by(unreadable.c.anchor).offset(start).limit(_AT_ONCE)
        return frozenset(connection.execute(some).scalars())


def sentences_about_unreadable(connection: Connection, source: str) -> list[str]:
    """Tell of each, in the order of their names."""
    rows = connection.execute(select(unreadable).where(unreadable.c.source == source).order_by(unreadable.c.dn))
    return [f"{row.dn}: {row.reason}" for row in rows]
