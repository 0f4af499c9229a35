"""Entries of which nothing counts but that they were there, as a state that was restored knows them.

What the back-up has of them is as old as it is, and the audit trail tells no more than that somebody was there. The
next read of their source brings the rest, or tells that they are gone. Until then, and that is for ever if the source
is not in the settings any more, nothing is written about them, and who is in such a group is told by the upstream.
Lists of before stay for a read to be compared with (agent/directory/emptied_lists.py), and let nobody in or out.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, or_, select

from agent.state.facts import fact_of
from agent.state.tables import entry

_UNREAD = ""  # the digest of an entry whose content is not known
_NO_ATTRIBUTES = "{}"
RESTORED = "what the sources told was forgotten"  # a fact
UNSEEN = "restored, and what stands upstream not looked at"  # a fact
NOTHING_KNOWN = {
    "digest": _UNREAD, "attributes": _NO_ATTRIBUTES, "content_read": 0, "members_complete": False, "active": True
}  # fmt: skip
NOT_READ = "nothing of it was read since the state was restored"


def is_unread(row: Row[tuple[Any, ...]]) -> bool:
    """Tell whether no read has brought this entry yet, nor told that it is gone."""
    return bool(row.present) and (row.digest, row.attributes, row.content_read) == (_UNREAD, _NO_ATTRIBUTES, 0)


def any_unread(connection: Connection) -> bool:
    """Tell whether there are such entries or lists. In a state that was never restored none is looked for."""
    return bool(fact_of(connection, RESTORED)) and (
        connection.execute(select(entry.c.id).where(not_read_in(entry)).limit(1)).first() is not None
    )


def not_read_in(table: FromClause) -> ColumnElement[bool]:
    """Ask in a query whether an entry is one, or has a list that is as old as the back-up."""
    return or_(unread_in(table), table.c.old_list)


def unread_in(table: FromClause) -> ColumnElement[bool]:
    """Ask that in a query, of the table of entries or an alias."""
    of = table.c
    return and_(of.present, of.digest == _UNREAD, of.attributes == _NO_ATTRIBUTES, of.content_read == 0)
