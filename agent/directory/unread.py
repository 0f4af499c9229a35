"""Entries of which nothing counts but that they were there, as a state that was restored knows them.

From the audit trail, or of a source that is not read any more. The next read of their source brings the rest, or tells
that they are gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select, update

from agent.directory.marks import mark
from agent.directory.second_hand import CATALOGUE
from agent.state.tables import entry, membership, name, source
from connectors.base import Completeness, EntryKind, NameKind
from connectors.distinguished_name import DistinguishedNameError, normalise

_UNREAD = ""  # the digest of an entry whose content is not known
_NO_ATTRIBUTES = "{}"
NOT_READ = "nothing of it was read since the state was restored, and only the audit trail tells of it"


def enter_unread(
    connection: Connection, of: str, anchor: str, kind: EntryKind, dn: str, configured: Collection[str]
) -> int:
    """Return the number of an entry, entering it if need be.

    It was there when it was written about. Only a read that is complete and does not mention it proves the contrary.
    """
    known = select(entry.c.id).where(entry.c.source == of, entry.c.anchor == anchor)
    if (number := connection.execute(known).scalar()) is not None:
        return int(number)
    last_read = connection.execute(select(source.c.read_number).where(source.c.name == of)).scalar()
    row = {
        "source": of,
        "anchor": anchor,
        "kind": kind.value,
        "dn": dn,
        "active": True,
        "attributes": _NO_ATTRIBUTES,
        "members_complete": False,
        "digest": _UNREAD,
        "present": True,
        "last_seen": last_read or 0,
    }
    number = int(connection.execute(insert(entry).values(**row).returning(entry.c.id)).scalar_one())
    if of not in configured:
        # Nobody reads it, perhaps, and the lists of others name it all the same.
        _name(connection, number, of, anchor, dn)
        if last_read is None and of != CATALOGUE:
            read = {"read_number": 0, "completeness": Completeness.FAILED.value}
            connection.execute(insert(source).values(name=of, **read))
    return number


def forget_content(connection: Connection, configured: Collection[str]) -> set[int]:
    """Let what is known of sources that are not read count for nothing, until they are. Returns the entries.

    Of a restored state it is as old as the back-up: who has left since would be let in again by it, and who has come
    taken out. Whom the global catalogue knows is asked for again.
    """
    of_others = (entry.c.present, entry.c.source.not_in([*configured, CATALOGUE]))
    numbers = set(connection.execute(select(entry.c.id).where(*of_others)).scalars())
    forgotten = {"digest": _UNREAD, "attributes": _NO_ATTRIBUTES, "content_read": 0}
    unknown = {"members_complete": False, "active": True}
    connection.execute(update(entry).where(*of_others).values(**forgotten, **unknown))
    mark(connection, sorted(numbers), references_too=True)
    return numbers


def is_unread(row: Row[tuple[Any, ...]]) -> bool:
    """Tell whether no read has brought this entry yet, nor told that it is gone."""
    return bool(row.present) and (row.digest, row.attributes, row.content_read) == (_UNREAD, _NO_ATTRIBUTES, 0)


def unread(dn: str, of: str) -> str:
    """Say what that means for a person."""
    where = "the global catalogue" if of == CATALOGUE else f"source {of}"
    return f"{dn}: {NOT_READ}. What stands upstream is left as it is until {where} shows it, or tells that it is gone."


def is_listed(connection: Connection, number: int) -> bool:
    """Tell whether a group that is there lists any name of an entry."""
    lister = entry.alias("lister")
    listed = (
        select(membership.c.group_id)
        .join(name, (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value))
        .join(lister, lister.c.id == membership.c.group_id)
        .where(name.c.entry_id == number, lister.c.present)
    )
    return connection.execute(listed.limit(1)).first() is not None


def _name(connection: Connection, number: int, of: str, anchor: str, dn: str) -> None:
    names = {NameKind.GUID: anchor}
    with contextlib.suppress(DistinguishedNameError):
        names[NameKind.DN] = normalise(dn)
    for kind, value in names.items():
        another = exists().where(
            entry.c.id == name.c.entry_id, entry.c.source == of, name.c.kind == kind.value, name.c.value == value
        )
        if not connection.execute(select(another)).scalar():
            connection.execute(insert(name).values(kind=kind.value, value=value, entry_id=number))
