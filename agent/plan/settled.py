"""What agrees with the ledger at the end of a cycle is marked no longer, and what was refused of it is overcome."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    Connection,
    delete,
    select,
    union,
)

from agent.plan.conditions import Query, union_of
from agent.plan.leavers import Grace, groups_to_delete, users_to_delete
from agent.plan.locks import Locks
from agent.plan.member_queries import members_to_add, members_to_remove
from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    DeleteGroup,
    DeleteUser,
    ReadMembers,
    RemoveMembers,
    RetireAccount,
    UpdateGroup,
    UpdateUser,
)
from agent.plan.queries import (
    accounts_to_retire,
    active_and_unlisted,
    groups_in_doubt,
    groups_to_create,
    groups_to_update,
    users_to_create,
    users_to_deactivate,
    users_to_push,
    users_to_replace,
    users_to_update,
)
from agent.state.database import batched
from agent.state.tables import mark, rejected

_BATCH = 500


def settle_marks(connection: Connection, locks: Locks, grace: Grace) -> None:
    """Take the mark off everything that agrees with the ledger now, and forget rejections that are overcome."""
    _forget_what_is_overcome(connection, locks, grace)
    held = connection.execute(select(mark.c.entry_id)).scalars().all()
    if not held:
        return
    adds, removes = members_to_add(foresee=True, locks=locks).subquery(), members_to_remove(locks=locks).subquery()
    open_ends = union(
        users_to_push(locks),
        groups_to_create(),
        groups_to_update(),
        groups_in_doubt(),
        select(users_to_deactivate(locks).subquery().c.entry_id),
        # Whoever is kept by a list that is not known may be let go of as soon as it is.
        active_and_unlisted(),
        select(accounts_to_retire(foresee=True).subquery().c.entry_id),
        # Both ends, for it was perhaps one alone that was marked.
        select(adds.c.group_id),
        select(adds.c.user_id),
        select(removes.c.group_id),
        select(removes.c.user_id),
    )
    still_open = set(connection.execute(open_ends).scalars())
    for some in batched((number for number in held if number not in still_open), _BATCH):
        connection.execute(delete(mark).where(mark.c.entry_id.in_(some)))


def _forget_what_is_overcome(connection: Connection, locks: Locks, grace: Grace) -> None:
    """Forget the refusals of what is not to be done any more. While nothing is refused, nothing is asked for."""
    refused: dict[str, list[int]] = {}
    for entry_id, verb in connection.execute(select(rejected.c.entry_id, rejected.c.operation)):
        refused.setdefault(verb, []).append(entry_id)
    for verb, numbers in refused.items():
        still_open = _still_to_be_done(connection, verb, locks, grace)
        for some in batched((number for number in numbers if number not in still_open), _BATCH):
            connection.execute(delete(rejected).where(rejected.c.operation == verb, rejected.c.entry_id.in_(some)))


def _still_to_be_done(connection: Connection, verb: str, locks: Locks, grace: Grace) -> Collection[object]:
    """Return the numbers of all entries of which an operation of this kind is still to be done."""
    if verb == DeleteUser.verb:
        return {row.entry_id for row in users_to_delete(connection, grace)}
    if verb == DeleteGroup.verb:
        return {row.entry_id for row in groups_to_delete(connection, grace, in_doubt_too=True)}
    query = _queries(locks).get(verb)
    return () if query is None else set(connection.execute(query).scalars())


def _queries(locks: Locks) -> dict[str, Query]:
    creates = users_to_create()
    if locks.address and locks.replaced:
        creates = union_of(creates, users_to_replace(locks))
    adds, removes = members_to_add(foresee=True, locks=locks).subquery(), members_to_remove(locks=locks).subquery()
    return {
        CreateUser.verb: creates,
        UpdateUser.verb: users_to_update(locks),
        CreateGroup.verb: groups_to_create(),
        UpdateGroup.verb: groups_to_update(),
        AddMembers.verb: select(adds.c.group_id).distinct(),
        ReadMembers.verb: groups_in_doubt(),
        RemoveMembers.verb: select(removes.c.group_id).distinct(),
        "deactivate user": select(users_to_deactivate(locks).subquery().c.entry_id),
        RetireAccount.verb: select(accounts_to_retire(foresee=True).subquery().c.entry_id),
    }
