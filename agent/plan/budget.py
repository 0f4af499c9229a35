"""What has been taken away lately, so that a leak in small steps is caught as well as one in a big one.

Each limit of the guard is a budget. What is taken away uses it up, and a part of it comes back in the course of every
day ([guard] daily), as water runs out of a leaking bucket. What somebody has approved uses nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil

from sqlalchemy import Connection, delete, insert, select

from agent.plan.operations import DeactivateUser, DeleteGroup, DeleteUser, Operation, RemoveMembers, RetireAccount
from agent.state.database import State
from agent.state.tables import desired_group, spending

_KEPT = timedelta(days=90)
_DAY = timedelta(days=1)


class Kind(StrEnum):
    """What a budget is about."""

    USERS = "users"
    GROUPS = "groups"
    MEMBERS = "members"


def spend(state: State, operation: Operation) -> None:
    """Record what was taken away just now, if anything was, and forget what is so old that it counts no more."""
    if isinstance(operation, DeactivateUser | RetireAccount | DeleteUser | RemoveMembers | DeleteGroup):
        with state.write() as connection:
            _spend(connection, operation)


def _spend(connection: Connection, removal: Operation) -> None:
    now, number = datetime.now(UTC), removal.subject.entry_id
    spent: list[tuple[Kind, int, int]] = []
    if isinstance(removal, DeactivateUser | RetireAccount | DeleteUser):
        spent.append((Kind.USERS, 0, 1))
    if isinstance(removal, RemoveMembers):
        spent.append((Kind.MEMBERS, number, len(removal.members)))
    if isinstance(removal, RemoveMembers | DeleteGroup) and not _is_selected(connection, number):
        spent.append((Kind.GROUPS, 0, 1))
    rows = [
        {"at": now, "kind": kind.value, "group_id": group_id, "number": how_many} for kind, group_id, how_many in spent
    ]
    if rows:
        connection.execute(insert(spending), rows)
        connection.execute(delete(spending).where(spending.c.at < now - _KEPT))


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
    level, then = 0.0, None
    for row in rows:
        level = max(0.0, level - a_day * _days(then, row.at)) + row.number
        then = row.at
    level = max(0.0, level - a_day * _days(then, datetime.now(UTC)))
    return ceil(level)


def _days(since: datetime | None, until: datetime) -> float:
    # A clock that was set back gives nothing back.
    return 0.0 if since is None else max(0.0, (until - since) / _DAY)
