"""The queries about memberships: what is to be added, what is to be removed, and why."""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from agent.plan.conditions import (
    PUSHABLE,
    Query,
    Within,
    barred,
    blocked_domain,
    claimed,
    marked,
    protected,
    protected_aside,
    still_needed,
    union_of,
)
from agent.plan.locks import Locks
from agent.state.tables import (
    desired_group,
    desired_member,
    desired_user,
    entry,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)

of_group, of_user = entry.alias("of_group"), entry.alias("of_user")


def members_to_add(within: Within = None, *, foresee: bool, locks: Locks) -> Query:
    """Select the memberships that are missing upstream, of one group or of all, with the SCIM ids of both ends."""
    both_ends = and_(ledger_group.c.entry_id.is_not(None), ledger_user.c.active)
    query = (
        select(
            desired_member.c.group_id,
            desired_member.c.user_id,
            desired_group.c.display_name.label("label"),
            ledger_group.c.scim_id.label("group_scim_id"),
            ledger_user.c.scim_id.label("user_scim_id"),
        )
        .join(desired_group, desired_group.c.entry_id == desired_member.c.group_id)
        .join(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_member.c.group_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_member.c.user_id)
        .outerjoin(
            ledger_member,
            and_(
                ledger_member.c.group_id == desired_member.c.group_id,
                ledger_member.c.user_id == desired_member.c.user_id,
            ),
        )
        .where(
            ledger_member.c.group_id.is_(None),
            desired_group.c.problem.is_(None),
            PUSHABLE,
            desired_member.c.provisioned,
            or_(ledger_user.c.entry_id.is_(None), not_(barred(locks))),
            true() if foresee else both_ends,
            true() if within is None else desired_member.c.group_id == within,
        )
    )
    return union_of(
        query.where(marked(desired_member.c.group_id)),
        query.where(marked(desired_member.c.user_id)),
    )


def members_to_remove(within: Within = None, *, locks: Locks) -> Query:
    """Select the memberships upstream that the directory proves to be over, of one group or of all.

    A group that is still selected loses members only when its own list and every nested one is complete
    (invariant 2); one that is gone or no longer selected loses them all. Whoever would be deactivated, and cannot be
    because the account is not ours, loses every membership.
    """
    listed = and_(
        desired_member.c.group_id == ledger_member.c.group_id, desired_member.c.user_id == ledger_member.c.user_id
    )
    left = and_(
        desired_member.c.group_id.is_(None),
        or_(desired_group.c.entry_id.is_(None), desired_group.c.members_complete),
        or_(of_user.c.present.is_(false()), ~claimed(ledger_member.c.group_id)),
    )
    withdrawn = and_(desired_member.c.group_id.is_not(None), desired_member.c.withdrawn)
    # That no group lists somebody any more is a matter of each group's own list.
    proven = or_(of_user.c.present.is_(false()), desired_user.c.withdrawn, desired_user.c.active.is_(false()))
    let_go = and_(ledger_user.c.external, proven) if locks.profile else false()
    query = (
        select(
            ledger_member.c.group_id,
            ledger_member.c.user_id,
            ledger_group.c.display_name.label("label"),
            ledger_group.c.scim_id.label("group_scim_id"),
            ledger_user.c.scim_id.label("user_scim_id"),
            _cause_of_removal(locks).label("cause"),
        )
        .join(ledger_group, ledger_group.c.entry_id == ledger_member.c.group_id)
        .join(of_group, of_group.c.id == ledger_member.c.group_id)
        .join(of_user, of_user.c.id == ledger_member.c.user_id)
        .join(ledger_user, ledger_user.c.entry_id == ledger_member.c.user_id)
        .outerjoin(desired_member, listed)
        .outerjoin(desired_group, desired_group.c.entry_id == ledger_member.c.group_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_member.c.user_id)
        .where(
            or_(left, withdrawn, let_go, barred(locks)),
            not_(protected()),
            ledger_group.c.guarded.is_(false()),
            true() if within is None else ledger_member.c.group_id == within,
        )
    )
    standing = union_of(
        query.where(marked(ledger_member.c.group_id)),
        query.where(marked(ledger_member.c.user_id)),
    )
    return union_of(standing, _former_members(within))


def _cause_of_removal(locks: Locks) -> ColumnElement[str]:
    return case(
        (of_user.c.present.is_(false()), func.coalesce(of_user.c.gone_evidence, "gone from the directory")),
        (desired_member.c.withdrawn, desired_user.c.held_back),
        (barred(locks), blocked_domain()),
        (
            of_group.c.present.is_(false()),
            "the group is gone: " + func.coalesce(of_group.c.gone_evidence, "the directory has it no more"),
        ),
        (desired_group.c.entry_id.is_(None), "the group is not selected any more ([scope] groups)"),
        # Whoever is disabled and still listed stays in the group, unless the account cannot be deactivated.
        (and_(desired_member.c.group_id.is_not(None), desired_user.c.active.is_(false())), "disabled in the directory"),
        else_="no longer a member of the group",
    )


def _former_members(within: Within) -> Query:
    """Select the memberships of accounts that were replaced, once the new account has them or nobody shall."""
    return (
        select(
            former_member.c.group_id,
            former_account.c.entry_id.label("user_id"),
            ledger_group.c.display_name.label("label"),
            ledger_group.c.scim_id.label("group_scim_id"),
            former_member.c.scim_id.label("user_scim_id"),
            literal("its account was replaced by another").label("cause"),
        )
        .join(former_account, former_account.c.scim_id == former_member.c.scim_id)
        .join(ledger_group, ledger_group.c.entry_id == former_member.c.group_id)
        .where(
            marked(former_account.c.entry_id),
            not_(protected_aside()),
            ~still_needed(),
            true() if within is None else former_member.c.group_id == within,
        )
    )
