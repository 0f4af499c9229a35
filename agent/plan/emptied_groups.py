"""Whether a group that is still selected has nobody in use any more once some members have left."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, select

from agent.plan.conditions import PUSHABLE, barred
from agent.plan.locks import Locks
from agent.plan.operations import ANYTHING, AddMembers, Member
from agent.state.tables import (
    desired_group,
    desired_member,
    desired_user,
    former_member,
    ledger_member,
    ledger_user,
    rejected,
)


def is_emptied(
    connection: Connection, group_id: int, leaving: Sequence[Member], *, locks: Locks, foresee: bool
) -> bool:
    """Tell whether the group is selected, loses somebody, and has nobody in use afterwards.

    foresee:  whoever is about to join counts as well. That somebody is refused shows when it is too late for a plan, so
              the question is asked again, without, when the others have joined.
    """
    selected = select(desired_group.c.entry_id).where(desired_group.c.entry_id == group_id)
    if connection.execute(selected).first() is None:
        return False
    gone = {member.scim_id for member in leaving}
    in_use = (
        select(ledger_user.c.scim_id)
        .join(ledger_member, ledger_member.c.user_id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .where(
            ledger_member.c.group_id == group_id,
            ledger_user.c.active,
            or_(desired_user.c.entry_id.is_(None), desired_user.c.active),
        )
    )
    # One more than leave: that is enough to know that somebody stays, however large the group is.
    using = set(connection.execute(in_use.limit(len(gone) + 1)).scalars())
    former = set(
        connection.execute(select(former_member.c.scim_id).where(former_member.c.group_id == group_id)).scalars()
    )
    if (using | former) - gone or (foresee and _somebody_joins(connection, group_id, locks)):
        return False
    listed = select(func.count()).select_from(ledger_member).where(ledger_member.c.group_id == group_id)
    everybody = connection.execute(listed).scalar_one() + len(former)
    # Where only people out of use are left, it makes no difference that one of them leaves.
    return bool(using) or len(leaving) == everybody


def _somebody_joins(connection: Connection, group_id: int, locks: Locks) -> bool:
    """Tell whether somebody is to join who can be expected to: who was refused comes first, and then the others go."""
    joining = (
        select(desired_member.c.user_id)
        .join(desired_group, desired_group.c.entry_id == desired_member.c.group_id)
        .join(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_member.c.user_id)
        .where(
            desired_member.c.group_id == group_id,
            desired_member.c.provisioned,
            desired_group.c.problem.is_(None),
            PUSHABLE,
            or_(ledger_user.c.active, not_(_was_refused())),
            or_(ledger_user.c.entry_id.is_(None), not_(barred(locks))),
            not_(_is_in(group_id)),
        )
    )
    refused = select(rejected.c.entry_id).where(
        rejected.c.entry_id == group_id, rejected.c.operation == AddMembers.verb
    )
    return connection.execute(refused).first() is None and connection.execute(joining.limit(1)).first() is not None


def _was_refused() -> ColumnElement[bool]:
    """Tell whether just what is wanted of a user was refused; something else is tried at once."""
    refused = select(rejected.c.entry_id).where(
        rejected.c.entry_id == desired_user.c.entry_id,
        or_(rejected.c.digest == desired_user.c.digest, rejected.c.digest == ANYTHING),
    )
    return refused.correlate(desired_user).exists()


def _is_in(group_id: int) -> ColumnElement[bool]:
    """Tell whether a user is a member already: it is known by now whether that one stays."""
    held = select(ledger_member.c.user_id).where(
        and_(ledger_member.c.group_id == group_id, ledger_member.c.user_id == desired_member.c.user_id)
    )
    return held.correlate(desired_member).exists()
