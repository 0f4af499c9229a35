"""What agrees with the ledger at the end of a cycle is marked no longer."""

from __future__ import annotations

from sqlalchemy import (
    Connection,
    delete,
    exists,
    select,
    union,
)

from agent.plan.leavers import Grace, groups_to_delete, users_to_delete
from agent.plan.locks import Locks
from agent.plan.member_queries import members_to_add, members_to_remove
from agent.plan.queries import (
    accounts_to_retire,
    groups_in_doubt,
    groups_to_create,
    groups_to_update,
    users_to_deactivate,
    users_to_push,
)
from agent.state.database import batched
from agent.state.tables import mark, rejected

_BATCH = 500


def settle_marks(connection: Connection, locks: Locks, grace: Grace) -> None:
    """Take the mark off everything that agrees with the ledger now, and forget rejections that are overcome."""
    adds, removes = members_to_add(foresee=True, locks=locks).subquery(), members_to_remove(locks=locks).subquery()
    open_ends = union(
        users_to_push(locks),
        groups_to_create(),
        groups_to_update(),
        groups_in_doubt(),
        select(users_to_deactivate(locks).subquery().c.entry_id),
        select(accounts_to_retire(foresee=True).subquery().c.entry_id),
        # Both ends, for it was perhaps one alone that was marked.
        select(adds.c.group_id),
        select(adds.c.user_id),
        select(removes.c.group_id),
        select(removes.c.user_id),
    )
    still_open = set(connection.execute(open_ends).scalars())
    # What is deleted at last is due by the time, and needs no mark.
    refused_still = still_open | _to_be_deleted(connection, grace)
    for table, kept in ((mark, still_open), (rejected, refused_still)):
        held = connection.execute(select(table.c.entry_id)).scalars().all()
        for some in batched((number for number in held if number not in kept), _BATCH):
            connection.execute(delete(table).where(table.c.entry_id.in_(some)))


def _to_be_deleted(connection: Connection, grace: Grace) -> set[int]:
    if not connection.execute(select(exists().where(rejected.c.entry_id.is_not(None)))).scalar():
        return set()
    due = [*users_to_delete(connection, grace), *groups_to_delete(connection, grace, in_doubt_too=True)]
    return {row.entry_id for row in due}
