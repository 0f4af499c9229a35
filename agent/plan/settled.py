"""What agrees with the ledger at the end of a cycle is marked no longer."""

from __future__ import annotations

from sqlalchemy import (
    Connection,
    delete,
    select,
    union,
)

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
from agent.state.tables import (
    mark,
    rejected,
)

_BATCH = 500


def settle_marks(connection: Connection, locks: Locks) -> None:
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
    for table in (mark, rejected):
        held = connection.execute(select(table.c.entry_id)).scalars().all()
        for some in batched((number for number in held if number not in still_open), _BATCH):
            connection.execute(delete(table).where(table.c.entry_id.in_(some)))
