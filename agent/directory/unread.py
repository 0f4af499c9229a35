"""Entries of which nothing counts but that they were there, as a state that was restored knows them.

What the back-up has of them is as old as it is, and the audit trail tells no more than that somebody was there. The
next read of their source brings the rest, or tells that they are gone. Until then, and that is for ever if the source
is not in the settings any more, nothing is written about them, and who is in such a group is told by the upstream.
Lists of before stay for a read to be compared with (agent/directory/emptied_lists.py), and let nobody in or out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, delete, exists, insert, or_, select, update

from agent.directory.second_hand import CATALOGUE
from agent.state.facts import fact_of, write_fact
from agent.state.tables import entry, membership, name, source
from connectors.base import Completeness, EntryKind, NameKind
from connectors.distinguished_name import DistinguishedNameError, normalise

_UNREAD = ""  # the digest of an entry whose content is not known
_NO_ATTRIBUTES = "{}"
_RESTORED = "what the sources told was forgotten"  # a fact
UNSEEN = "restored, and what stands upstream not looked at"  # a fact
_NOTHING_KNOWN = {
    "digest": _UNREAD, "attributes": _NO_ATTRIBUTES, "content_read": 0, "members_complete": False, "active": True
}  # fmt: skip
NOT_READ = "nothing of it was read since the state was restored"


def enter_unread(
    connection: Connection, of: str, anchor: str, kind: EntryKind, dn: str, configured: Collection[str]
) -> int:
    """Return the number of an entry, entering it if need be.

    It was there when it was written about. Only a read that is complete and does not mention it proves the contrary.
    """
    known = select(entry.c.id, entry.c.present).where(entry.c.source == of, entry.c.anchor == anchor)
    if (row_known := connection.execute(known).first()) is not None:
        if not row_known.present:
            _is_back(connection, row_known.id, of, anchor, dn)
        return int(row_known.id)
    last_read = connection.execute(select(source.c.read_number).where(source.c.name == of)).scalar()
    row = {
        "source": of,
        "anchor": anchor,
        "kind": kind.value,
        "dn": dn,
        "present": True,
        "last_seen": last_read or 0,
        **_NOTHING_KNOWN,
    }
    number = int(connection.execute(insert(entry).values(**row).returning(entry.c.id)).scalar_one())
    # Lists name it before it is read, and if it never is.
    _name(connection, number, of, anchor, dn)
    if last_read is None and of not in {*configured, CATALOGUE}:
        read = {"read_number": 0, "completeness": Completeness.FAILED.value}
        connection.execute(insert(source).values(name=of, **read))
    return number


def forget_content(connection: Connection, configured: Collection[str]) -> None:
    """Let what the sources have told until the back-up count for nothing, until they are read.

    By that who has left since would be let in again, and who has come taken out.
    """
    unheard = select(entry.c.id).where(entry.c.source.not_in(list(configured)))
    connection.execute(delete(membership).where(membership.c.group_id.in_(unheard)))
    # The others stay to be compared with, lest a directory that shows no members any more be believed.
    lists = exists().where(membership.c.group_id == entry.c.id)
    connection.execute(update(entry).where(lists).values(old_list=True))
    connection.execute(update(entry).where(entry.c.present).values(**_NOTHING_KNOWN))
    write_fact(connection, _RESTORED, "yes")


def is_unread(row: Row[tuple[Any, ...]]) -> bool:
    """Tell whether no read has brought this entry yet, nor told that it is gone."""
    return bool(row.present) and (row.digest, row.attributes, row.content_read) == (_UNREAD, _NO_ATTRIBUTES, 0)


def any_unread(connection: Connection) -> bool:
    """Tell whether there are such entries or lists. In a state that was never restored none is looked for."""
    return bool(fact_of(connection, _RESTORED)) and (
        connection.execute(select(entry.c.id).where(not_read_in(entry)).limit(1)).first() is not None
    )


def not_read_in(table: FromClause) -> ColumnElement[bool]:
    """Ask in a query whether an entry is one, or has a list that is as old as the back-up."""
    return or_(unread_in(table), table.c.old_list)


def unread_in(table: FromClause) -> ColumnElement[bool]:
    """Ask that in a query, of the table of entries or an alias."""
    of = table.c
    return and_(of.present, of.digest == _UNREAD, of.attributes == _NO_ATTRIBUTES, of.content_read == 0)


def unread(dn: str, of: str) -> str:
    """Say what that means for a person."""
    where = "the global catalogue" if of == CATALOGUE else f"source {of}"
    return f"{dn}: {NOT_READ}. What stands upstream is left as it is until {where} shows it, or tells that it is gone."


def _is_back(connection: Connection, number: int, of: str, anchor: str, dn: str) -> None:
    """Somebody was gone by the back-up, and something was made for them since."""
    there = {"present": True, "gone_evidence": None, **_NOTHING_KNOWN}
    connection.execute(update(entry).where(entry.c.id == number).values(**there))
    connection.execute(delete(name).where(name.c.entry_id == number))
    _name(connection, number, of, anchor, dn)


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
