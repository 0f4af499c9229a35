"""What an older state knows, or has taken up from the audit trail, of sources that are not read any more.

A source that got another name is the same directory: whoever of it is there is read under that name, and whoever is
not has left. Of a source that was taken out of the settings nobody has left, and what stands upstream stays as it is.
The trail does not tell the two apart, so it is judged when everything was read, and what is not certain is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row, and_, delete, exists, or_, select, union

from agent.directory.presence import lose
from agent.directory.second_hand import CATALOGUE
from agent.directory.unread import is_listed, is_unread
from agent.state.database import batched
from agent.state.facts import fact_of, write_fact
from agent.state.tables import (
    create_attempt,
    entry,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
    name,
    source,
)
from connectors.base import EntryKind

LEFT_ALONE = "restored, and what was made for sources that are not read"  # a fact: a sentence
_TO_JUDGE = "restored, and to be judged when everything was read"  # a fact: the numbers of entries, as JSON
_BATCH = 500

log = structlog.get_logger()
_Row = Row[tuple[Any, ...]]


def entries_with_objects(connection: Connection) -> set[int]:
    """Return the entries for which the ledger holds something upstream."""
    held = union(*(select(table.c.entry_id) for table in (ledger_user, ledger_group)))
    return set(connection.execute(held).scalars())


def judge_later(connection: Connection, numbers: Collection[int], configured: Collection[str]) -> None:
    """Remember those of some entries whose source is not configured: nothing newer than the back-up tells of them."""
    unread = {
        number
        for some in batched(sorted(numbers), _BATCH)
        for number in connection.execute(
            select(entry.c.id).where(entry.c.id.in_(some), entry.c.source.not_in(list(configured)))
        ).scalars()
    }
    write_fact(connection, _TO_JUDGE, json.dumps(sorted({*unread, *_to_judge(connection)})))
    write_fact(connection, LEFT_ALONE, "")


def everything_was_read(
    connection: Connection, configured: Collection[str], *, asks_catalogue: bool, forget: bool
) -> None:
    """Let go of what was taken up for entries of which nobody can say whether they are still there.

    asks_catalogue:  a source looks people of other domains up
    forget:          what was told of that the last time need not be told any more
    """
    numbers = _to_judge(connection)
    if not numbers:
        if forget:
            write_fact(connection, LEFT_ALONE, "")
        return
    left: list[_Row] = []
    rows = _read_by_nobody(connection, numbers, configured)
    for of in {row.source for row in rows} - ({CATALOGUE} if asks_catalogue else set()):
        of_it = [row for row in rows if row.source == of]
        groups = any(row.kind == EntryKind.GROUP.value for row in of_it)
        gone_on = of == CATALOGUE or (not groups and _is_read_under_another_name(connection, of, configured))
        left += [row for row in of_it if not gone_on or (is_unread(row) and is_listed(connection, row.id))]
    held = entries_with_objects(connection)
    _let_go_of(connection, left)
    write_fact(connection, _TO_JUDGE, "")
    write_fact(connection, LEFT_ALONE, _about([row for row in left if row.id in held]))


def _read_by_nobody(connection: Connection, numbers: Sequence[int], configured: Collection[str]) -> list[_Row]:
    """Return those of some entries that no configured source has.

    That one is gone was told by the source when it was still read: by now somebody has made something for it. Of those
    whom the global catalogue knows it is told by the lists.
    """
    again = entry.alias("again")
    elsewhere = exists().where(
        again.c.anchor == entry.c.anchor,
        again.c.source.in_(list(configured)),
        again.c.present,
    )
    unread = (
        entry.c.source.not_in(list(configured)),
        or_(entry.c.present, and_(entry.c.source != CATALOGUE, ~elsewhere)),
    )
    return [
        row
        for some in batched(numbers, _BATCH)
        for row in connection.execute(select(entry).where(entry.c.id.in_(some), *unread))
    ]


def _to_judge(connection: Connection) -> list[int]:
    numbers: list[int] = json.loads(fact_of(connection, _TO_JUDGE) or "[]")
    return numbers


def _is_read_under_another_name(connection: Connection, of: str, configured: Collection[str]) -> bool:
    """Tell whether some of a former source is read elsewhere, and no group of it is left that is not.

    A part of it may be read elsewhere, and somebody in a nested group of the rest have access all the same.
    """
    again = entry.alias("again")
    found = exists().where(
        entry.c.source == of,
        entry.c.present.is_(False),
        again.c.anchor == entry.c.anchor,
        again.c.source.in_(list(configured)),
        again.c.present,
    )
    groups = select(entry.c.id).where(
        entry.c.source == of,
        entry.c.present,
        entry.c.kind == EntryKind.GROUP.value,
    )
    return bool(connection.execute(select(found)).scalar()) and connection.execute(groups.limit(1)).first() is None


def _let_go_of(connection: Connection, left: Collection[_Row]) -> None:
    for some in batched([row.id for row in left], _BATCH):
        aside = select(former_account.c.scim_id).where(former_account.c.entry_id.in_(some))
        connection.execute(delete(former_member).where(former_member.c.scim_id.in_(aside)))
        for column in (
            former_member.c.group_id,
            former_account.c.entry_id,
            ledger_member.c.user_id,
            ledger_member.c.group_id,
            ledger_user.c.entry_id,
            ledger_group.c.entry_id,
            create_attempt.c.entry_id,
        ):
            connection.execute(delete(column.table).where(column.in_(some)))
    for row in left:
        if is_unread(row):
            # Nothing is known of it but the trail, and whoever lists it lists somebody unknown.
            read_number = connection.execute(select(source.c.read_number).where(source.c.name == row.source)).scalar()
            lose(connection, [row.id], f"source {row.source} is not read any more", read_number or 0)
            connection.execute(delete(name).where(name.c.entry_id == row.id))


def _about(left: Collection[_Row]) -> str:
    if not left:
        return ""
    number = "1 user or group" if len(left) == 1 else f"{len(left)} users and groups"
    sources = " and ".join(sorted({f"source {row.source}" for row in left}))
    sentence = (
        f"Left as it stands upstream: {number} made for entries of {sources}, which is not read any more since the "
        "back-up. Look there for accounts of people who have left; nothing takes those away."
    )
    log.warning("left as it stands upstream", made_for=sources, number=len(left))
    return sentence
