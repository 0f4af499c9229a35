"""The members of a group as they were read upstream, set against the ledger."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from agent.state.database import batched, upsert
from agent.state.tables import former_account, former_member, ledger_group, ledger_member, ledger_user

_BATCH = 500


def doubt_every_group(connection: Connection) -> None:
    """Have the members of every group read upstream: somebody may have changed them there, or restored the state."""
    connection.execute(update(ledger_group).values(in_doubt=True))


def observe_members(connection: Connection, group_id: int, scim_ids: frozenset[str]) -> None:
    """Set the ledger's list to what was read. Ids of users that are not the agent's are left out."""
    known: set[int] = set()
    for some in batched(sorted(scim_ids), _BATCH):
        known.update(
            connection.execute(select(ledger_user.c.entry_id).where(ledger_user.c.scim_id.in_(some))).scalars()
        )
    recorded = set(
        connection.execute(select(ledger_member.c.user_id).where(ledger_member.c.group_id == group_id)).scalars()
    )
    new = [{"group_id": group_id, "user_id": user_id} for user_id in sorted(known - recorded)]
    if new:
        connection.execute(insert(ledger_member), new)
    for user_id in recorded - known:
        connection.execute(
            delete(ledger_member).where(ledger_member.c.group_id == group_id, ledger_member.c.user_id == user_id)
        )
    former = connection.execute(select(former_member.c.scim_id).where(former_member.c.group_id == group_id)).scalars()
    set_aside: set[str] = set()
    for some in batched(sorted(scim_ids), _BATCH):
        ours = select(former_account.c.scim_id).where(former_account.c.scim_id.in_(some))
        set_aside.update(connection.execute(ours).scalars())
    rows = [{"group_id": group_id, "scim_id": scim_id} for scim_id in sorted(set_aside)]
    upsert(connection, former_member, rows)
    for scim_id in set(former) - scim_ids:
        connection.execute(
            delete(former_member).where(former_member.c.group_id == group_id, former_member.c.scim_id == scim_id)
        )
