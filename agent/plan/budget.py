"""What has been taken away lately, so that a leak in small steps is caught as well as one in a big one.

Each limit of the guard is a budget. What is taken away uses it up, and a part of it comes back in the course of every
day ([guard] daily), as water runs out of a leaking bucket. What somebody has approved uses nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil

from sqlalchemy import Connection, delete, func, insert, select

from agent.plan.operations import DeactivateUser, DeleteGroup, DeleteUser, Operation, RemoveMembers, RetireAccount
from agent.state.database import State, batched
from agent.state.tables import desired_group, former_member, ledger_member, ledger_user, spending

_KEPT = timedelta(days=90)
_DAY = timedelta(days=1)
_BATCH = 500


class Kind(StrEnum):
    """What a budget is about."""

    USERS = "users"
    GROUPS = "groups"
    MEMBERS = "members"


def spend(state: State, operation: Operation, *, done: bool) -> None:
    """Record what was taken away just now, if anything was, and forget what is so old that it counts no more.

    done:  the operation succeeded; of a change of members a part may be gone all the same
    """
    if isinstance(operation, DeactivateUser | RetireAccount | DeleteUser | RemoveMembers | DeleteGroup):
        with state.write() as connection:
            _spend(connection, operation, done=done)


def _spend(connection: Connection, removal: Operation, *, done: bool) -> None:
    now, number = datetime.now(UTC), removal.subject.entry_id
    spent: list[tuple[Kind, int, int]] = []
    if isinstance(removal, DeactivateUser | RetireAccount | DeleteUser) and done:
        spent.append((Kind.USERS, 0, 1))
    if isinstance(removal, RemoveMembers):
        gone = len(removal.members) if done else len(removal.members) - _still_there(connection, removal)
        spent.append((Kind.MEMBERS, number, gone))
    if isinstance(removal, RemoveMembers | DeleteGroup) and done and not _is_selected(connection, number):
        spent.append((Kind.GROUPS, 0, 1))
    rows = [
        {"at": now, "kind": kind.value, "group_id": group_id, "number": how_many}
        for kind, group_id, how_many in spent
        if how_many
    ]
    if rows:
        connection.execute(insert(spending), rows)
        connection.execute(delete(spending).where(spending.c.at < now - _KEPT))


def _still_there(connection: Connection, removal: RemoveMembers) -> int:
    """Count the members that the ledger still has in the group: a part of a change is acknowledged by itself."""
    number, group_id = 0, removal.subject.entry_id
    for some in batched((member.scim_id for member in removal.members), _BATCH):
        users = select(ledger_user.c.entry_id).where(ledger_user.c.scim_id.in_(some))
        for table, theirs in (
            (ledger_member, ledger_member.c.user_id.in_(users)),
            (former_member, former_member.c.scim_id.in_(some)),
        ):
            query = select(func.count()).select_from(table).where(table.c.group_id == group_id, theirs)
            number += connection.execute(query).scalar_one()
    return number


def _is_selected(connection: Connection, group_id: int) -> bool:
    selected = select(desired_group.c.entry_id).where(desired_group.c.entry_id == group_id)
    return connection.execute(selected).first() is not None


def used(connection: Connection, kind: Kind, limit: int, daily: float, group_id: int = 0) -> int:
    """Return how much of a limit is used up at this moment; `daily` is the share of it that comes back in a day."""
    rows = connection.execute(
        select(spending.c.at, spending.c.number)
        .where(spending.c.kind == kind, spending.c.group_id == group_id)
        .order_by(spending.c.at)
    ).all()
    # A limit of nothing lets nothing through; what an approval or another limit let through must not stay for ever.
    a_day = max(limit, 1) * daily
    now = datetime.now(UTC)
    level, then = 0.0, None
    for row in rows:
        # A clock that ran ahead has put it into the future; it was before now in any case.
        at = min(row.at, now)
        level = max(0.0, level - a_day * _days(then, at)) + row.number
        then = at
    level = max(0.0, level - a_day * _days(then, now))
    return ceil(level)


def _days(since: datetime | None, until: datetime) -> float:
    # A clock that was set back gives nothing back.
    return 0.0 if since is None else max(0.0, (until - since) / _DAY)
