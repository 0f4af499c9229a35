"""What is deleted at last: accounts inactive, and groups out of the scope, for as long as the policy says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Row, exists, false, or_, select, true, update

from agent.plan.conditions import claimed
from agent.state.tables import (
    desired_group,
    desired_user,
    entry,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)
from agent.state.vouched import vouched_time

# What was there before Rollcall came is somebody else's to delete.
CREATED = "created"
_AT_MOST = timedelta(days=1)  # between two cycles


@dataclass(frozen=True, slots=True)
class Grace:
    """How long after it left something is deleted upstream; None: never.

    users, external_users:  since they were deactivated
    groups:                 since they are not selected any more
    """

    users: timedelta | None = None
    external_users: timedelta | None = None
    groups: timedelta | None = None


NEVER = Grace()


def note_groups_that_left(connection: Connection) -> None:
    """Remember since when the groups upstream are not selected any more."""
    selected = exists().where(desired_group.c.entry_id == ledger_group.c.entry_id)
    left = update(ledger_group).where(ledger_group.c.left_at.is_(None), ~selected).values(left_at=datetime.now(UTC))
    back = update(ledger_group).where(ledger_group.c.left_at.is_not(None), selected).values(left_at=None)
    connection.execute(left)
    connection.execute(back)


def users_to_delete(connection: Connection, grace: Grace) -> list[Row[tuple[object, ...]]]:
    """Return the users that have been inactive for longer than their grace, and that no group lists.

    Whoever is disabled and still listed is kept: people come back from a long leave.
    """
    now = vouched_time(connection, and_after=_AT_MOST)
    due = [
        ledger_user.c.external.is_(external) & (ledger_user.c.deactivated_at <= now - after)
        for external, after in ((False, grace.users), (True, grace.external_users))
        if after is not None
    ]
    if not due:
        return []
    return list(
        connection.execute(
            select(
                ledger_user.c.entry_id,
                ledger_user.c.scim_id,
                ledger_user.c.user_name.label("label"),
                ledger_user.c.deactivated_at.label("since"),
            )
            .join(entry, entry.c.id == ledger_user.c.entry_id)
            .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
            .where(
                ledger_user.c.deactivated_at.is_not(None),
                or_(*due),
                ledger_user.c.active.is_(false()),
                ledger_user.c.origin == CREATED,
                ledger_user.c.protected.is_(false()),
                ledger_user.c.guarded.is_(false()),
                desired_user.c.entry_id.is_(None),
                ~exists().where(ledger_member.c.user_id == ledger_user.c.entry_id),
                or_(entry.c.present.is_(false()), ~claimed()),
            )
            .order_by(ledger_user.c.entry_id)
        )
    )


def groups_to_delete(
    connection: Connection, grace: Grace, *, in_doubt_too: bool = False
) -> list[Row[tuple[object, ...]]]:
    """Return the groups that have not been selected for longer than their grace, and have nobody any more.

    in_doubt_too:  as far as is known; a group in doubt is read before anything is deleted
    """
    if grace.groups is None:
        return []
    now = vouched_time(connection, and_after=_AT_MOST)
    members = exists().where(ledger_member.c.group_id == ledger_group.c.entry_id)
    former = exists().where(former_member.c.group_id == ledger_group.c.entry_id)
    return list(
        connection.execute(
            select(
                ledger_group.c.entry_id,
                ledger_group.c.scim_id,
                ledger_group.c.display_name.label("label"),
                ledger_group.c.left_at.label("since"),
            )
            .outerjoin(desired_group, desired_group.c.entry_id == ledger_group.c.entry_id)
            .where(
                ledger_group.c.left_at <= now - grace.groups,
                ledger_group.c.origin == CREATED,
                ledger_group.c.guarded.is_(false()),
                true() if in_doubt_too else ledger_group.c.in_doubt.is_(false()),
                desired_group.c.entry_id.is_(None),
                ~members,
                ~former,
            )
            .order_by(ledger_group.c.entry_id)
        )
    )
