"""What a restored state has of the sources is forgotten, but that an entry was there; what the trail tells is added."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from sqlalchemy import Connection, delete, exists, insert, select, update

from agent.directory.second_hand import CATALOGUE
from agent.directory.unread import NOTHING_KNOWN, RESTORED
from agent.state.facts import write_fact
from agent.state.tables import entry, membership, name, source
from connectors.base import Completeness, EntryKind, NameKind
from connectors.distinguished_name import DistinguishedNameError, normalise


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
        **NOTHING_KNOWN,
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
    connection.execute(update(entry).where(entry.c.present).values(**NOTHING_KNOWN))
    write_fact(connection, RESTORED, "yes")


def _is_back(connection: Connection, number: int, of: str, anchor: str, dn: str) -> None:
    """Somebody was gone by the back-up, and something was made for them since."""
    there = {"present": True, "gone_evidence": None, **NOTHING_KNOWN}
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
