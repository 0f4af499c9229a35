"""What the source sent of its entries, taken into the mirror: new ones, changed ones, and changes of member lists."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.directory.digest import digest_of
from agent.directory.emptied_lists import comes_empty, holds_members
from agent.directory.marks import mark
from agent.directory.members import Exchange, change_members, list_is_of_today, replace_members
from agent.directory.names import TakenOver, claim_names, qualified
from agent.directory.presence import number_of
from agent.state.tables import entry, membership
from connectors.base import Entry, EntryKind, MemberList, MembersChanged


@dataclass(frozen=True, slots=True)
class Received:
    """What came of entries that were taken in.

    changed:        how many are new or not what they were
    taken:          the names that were another's until now
    exchanges:      the lists that came, and what of them waits for the end of the read
    emptied:        the groups that held members and came with an empty list, which waits for the end of the read, too
    without_list:   anchors of groups whose members no read has brought
    """

    changed: int = 0
    taken: tuple[TakenOver, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    without_list: frozenset[str] = frozenset()
    emptied: tuple[int, ...] = ()

    def __add__(self, other: Received) -> Received:
        return Received(
            self.changed + other.changed,
            self.taken + other.taken,
            self.exchanges + other.exchanges,
            self.without_list | other.without_list,
            self.emptied + other.emptied,
        )


def receive(
    connection: Connection, source: str, found: Sequence[Entry], read_number: int, waiting: Mapping[int, Exchange]
) -> Received:
    """Take in entries as they are now: new, changed or unchanged.

    waiting: what lists of this read left to be settled, by the group's number
    """
    entries = _met_last(found)
    known = {
        row.anchor: row
        for row in connection.execute(
            select(entry.c.id, entry.c.anchor, entry.c.digest, entry.c.present, entry.c.kind, entry.c.old_list).where(
                entry.c.source == source, entry.c.anchor.in_(list(entries))
            )
        )
    }
    unchanged = {
        row.anchor: row.id for row in known.values() if row.present and row.digest == digest_of(entries[row.anchor])
    }
    if unchanged:
        connection.execute(
            update(entry)
            .where(entry.c.id.in_(list(unchanged.values())))
            .values(last_seen=read_number, content_read=read_number)
        )
    received = _insert(connection, source, [item for item in entries.values() if item.anchor not in known], read_number)
    for anchor, item in entries.items():
        if anchor in known and anchor not in unchanged:
            received += _change(connection, source, known[anchor], item, read_number, waiting)
    return received


def receive_members(connection: Connection, source: str, event: MembersChanged, read_number: int) -> bool:
    """Take in what changed in the list of a group. False: the mirror has no such group."""
    number = number_of(connection, source, event.anchor)
    if number is None:
        return False
    change_members(
        connection,
        number,
        [qualified(name, source) for name in event.added],
        [qualified(name, source) for name in event.removed],
    )
    # No digest: what the list is now is known from the parts of it, and the next read of the whole compares.
    connection.execute(update(entry).where(entry.c.id == number).values(digest="", last_seen=read_number))
    mark(connection, [number], references_too=True)
    return True


def _insert(connection: Connection, source: str, new: list[Entry], read_number: int) -> Received:
    if not new:
        return Received()
    rows = [
        {
            "source": source,
            "anchor": item.anchor,
            "gone_evidence": None,
            "members_complete": False,
            **_row(item, read_number),
        }
        for item in new
    ]
    # Written in one go and looked up after: a statement that returns the numbers is run once for each entry.
    connection.execute(insert(entry), rows)
    found = select(entry.c.anchor, entry.c.id).where(
        entry.c.source == source, entry.c.anchor.in_([item.anchor for item in new])
    )
    number_by_anchor = {row.anchor: row.id for row in connection.execute(found)}
    numbers = [number_by_anchor[item.anchor] for item in new]
    _, taken = claim_names(
        connection,
        [(number, qualified(name, source)) for number, item in zip(numbers, new, strict=True) for name in item.names],
    )
    members = [
        {"group_id": number, "kind": name.kind.value, "value": name.value}
        for number, item in zip(numbers, new, strict=True)
        if item.members is not None
        for name in (qualified(member, source) for member in item.members.names)
    ]
    if members:
        connection.execute(insert(membership), members)
    mark(connection, numbers, references_too=True)
    without_list = frozenset(item.anchor for item in new if brings_no_list(item))
    return Received(len(new), tuple(taken), without_list=without_list)


def _change(
    connection: Connection,
    source: str,
    before: Row[*tuple[Any, ...]],
    item: Entry,
    read_number: int,
    waiting: Mapping[int, Exchange],
) -> Received:
    number, revived = before.id, not before.present
    connection.execute(update(entry).where(entry.c.id == number).values(gone_evidence=None, **_row(item, read_number)))
    renamed, taken = claim_names(
        connection, [(number, qualified(name, source)) for name in item.names], forget_as_of=read_number
    )
    mark(connection, [number], references_too=renamed or revived or before.kind != item.kind.value)
    if brings_no_list(item):
        return Received(1, tuple(taken), without_list=frozenset({item.anchor} if revived else ()))
    members = _qualified(item.members, source)
    if members is not None and comes_empty(item) and holds_members(connection, number):
        replace_members(connection, number, replace(members, complete=False))
        return Received(1, tuple(taken), (Exchange(number),), emptied=(number,))
    pending = waiting.get(number, Exchange(number))
    if before.old_list:
        list_is_of_today(connection, number, forget=members is None or not members.complete)
        pending = replace(pending, old=True)
    exchange = replace_members(connection, number, members, pending)
    return Received(1, tuple(taken), (exchange,))


def _row(item: Entry, read_number: int) -> dict[str, object]:
    return {
        "kind": item.kind.value,
        "dn": item.dn,
        "active": item.active,
        "attributes": json.dumps({key: list(item.attributes[key]) for key in sorted(item.attributes)}),
        "present": True,
        "last_seen": read_number,
        "content_read": read_number,
        **_state_of_list(item),
    }


def _state_of_list(item: Entry) -> dict[str, object]:
    """Return the columns that describe an entry with its list.

    Without a digest the next read of the whole is taken in, whatever it brings.
    """
    if brings_no_list(item):
        return {"digest": ""}
    return {"members_complete": item.members is None or item.members.complete, "digest": digest_of(item)}


def _met_last(found: Sequence[Entry]) -> dict[str, Entry]:
    """An entry met twice counts as met last; a group that then comes without its list keeps the one it came with."""
    entries: dict[str, Entry] = {}
    for item in found:
        before = entries.get(item.anchor)
        kept = before.members if before is not None and brings_no_list(item) else item.members
        entries[item.anchor] = replace(item, members=kept)
    return entries


def brings_no_list(item: Entry) -> bool:
    """Tell whether a group came without its members, because only something else of it changed."""
    return item.kind is EntryKind.GROUP and item.members is None


def _qualified(members: MemberList | None, source: str) -> MemberList | None:
    if members is None:
        return None
    return replace(members, names=frozenset(qualified(name, source) for name in members.names))
