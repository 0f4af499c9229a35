"""The queries about users and groups: one for each kind of operation, restricted to what is marked."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    Connection,
    and_,
    case,
    exists,
    false,
    not_,
    or_,
    select,
    true,
)

from agent.directory.unread import UNSEEN, any_unread, not_read_in
from agent.plan.conditions import (
    PUSHABLE,
    Query,
    barred,
    blocked_domain,
    claimed,
    keeps_address,
    locked,
    marked,
    protected,
    protected_aside,
    replaced,
    still_needed,
    union_of,
    unwanted,
)
from agent.plan.locks import Locks
from agent.plan.removals import UNLISTED
from agent.state.facts import fact_of
from agent.state.tables import (
    desired_group,
    desired_member,
    desired_user,
    entry,
    former_account,
    former_member,
    ledger_group,
    ledger_user,
    same_person,
    source,
)
from connectors.base import Completeness, EntryKind

_leader = entry.alias("leader")


def users_to_push(locks: Locks) -> Query:
    """Select the users of whom something has to be created or updated."""
    pushed = union_of(users_to_create(), users_to_update(locks))
    return union_of(pushed, users_to_replace(locks)) if locks.address and locks.replaced else pushed


def users_to_create() -> Query:
    """Select the users that should stand upstream and do not."""
    return (
        select(desired_user.c.entry_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(marked(desired_user.c.entry_id), ledger_user.c.entry_id.is_(None), PUSHABLE)
    )


def users_to_replace(locks: Locks) -> Query:
    """Select the users whose account has another address than they have, where that means another account."""
    return (
        select(desired_user.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(marked(desired_user.c.entry_id), PUSHABLE, replaced(locks))
    )


def users_to_update(locks: Locks) -> Query:
    """Select the users that stand upstream otherwise than they should, the inactive who return among them.

    Of a locked profile nothing is sent, but whoever returns has to be taken note of.
    """
    differs, inactive = ledger_user.c.digest != desired_user.c.digest, ledger_user.c.active.is_(false())
    free = not_(locked(locks))
    return (
        select(desired_user.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(
            marked(desired_user.c.entry_id),
            PUSHABLE,
            or_(and_(differs, free), inactive),
            not_(replaced(locks)),
            not_(and_(ledger_user.c.blocked, keeps_address(locks))),
        )
    )


def profiles_that_differ(locks: Locks, *, marked_only: bool) -> Query:
    """Select the users who have other attributes in the directory than upstream, where that stays so."""
    return (
        select(ledger_user.c.user_name, ledger_user.c.email.label("held"), desired_user.c.email)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(
            marked(desired_user.c.entry_id) if marked_only else true(),
            PUSHABLE,
            ledger_user.c.digest != desired_user.c.digest,
            locked(locks),
            not_(replaced(locks)),
        )
        .order_by(ledger_user.c.user_name)
    )


def groups_to_create() -> Query:
    """Select the selected groups that do not stand upstream."""
    return (
        select(desired_group.c.entry_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(marked(desired_group.c.entry_id), ledger_group.c.entry_id.is_(None), desired_group.c.problem.is_(None))
    )


def groups_to_create_for(user_id: int) -> Query:
    """Select the groups that a user is to be in, and that do not stand upstream."""
    joins = select(desired_member.c.group_id).where(desired_member.c.user_id == user_id, desired_member.c.provisioned)
    missing = groups_to_create().subquery()
    return select(missing).where(missing.c.entry_id.in_(joins))


def groups_to_update() -> Query:
    """Select the groups whose name changed."""
    return (
        select(desired_group.c.entry_id)
        .join(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(
            marked(desired_group.c.entry_id),
            ledger_group.c.digest != desired_group.c.digest,
            desired_group.c.problem.is_(None),
        )
    )


def groups_in_doubt() -> Query:
    """Select the groups whose members upstream are not known: a change was begun and its outcome is not recorded."""
    return select(ledger_group.c.entry_id).where(marked(ledger_group.c.entry_id), ledger_group.c.in_doubt)


def users_to_deactivate(locks: Locks, *, unlisted_too: bool = True) -> Query:
    """Select the active users upstream who should not be, with the cause in words.

    unlisted_too:  also those whom no group lists any more, as far as is known
    """
    cause = case(
        (entry.c.present.is_(false()), entry.c.gone_evidence),
        (_leader.c.id.is_not(None), "the same person as " + _leader.c.dn + " ([same_person] by), whose account stays"),
        (desired_user.c.entry_id.is_(None), UNLISTED),
        (desired_user.c.active.is_(false()), "disabled in the directory"),
        (barred(locks), blocked_domain()),
        else_=desired_user.c.held_back,
    )
    # Of a person with several entries another may be in use.
    disabled_and_unlisted = and_(
        desired_user.c.entry_id.is_(None), entry.c.active.is_(false()), same_person.c.entry_id.is_(None)
    )
    return (
        select(
            ledger_user.c.entry_id,
            ledger_user.c.scim_id,
            ledger_user.c.user_name.label("label"),
            cause.label("cause"),
            (ledger_user.c.external if locks.profile else false()).label("locked"),
            or_(entry.c.present.is_(false()), desired_user.c.active.is_(false()), disabled_and_unlisted).label(
                "out_of_use"
            ),
        )
        .join(entry, entry.c.id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(same_person, same_person.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(_leader, and_(_leader.c.id == same_person.c.leader_id, _leader.c.id != ledger_user.c.entry_id))
        .where(
            marked(ledger_user.c.entry_id),
            ledger_user.c.active,
            not_(protected()),
            or_(unwanted(or_(entry.c.present.is_(false()), ~claimed() if unlisted_too else false())), barred(locks)),
        )
    )


def lists_are_known(connection: Connection, sources: Collection[str], *, foresee: bool = False) -> bool:
    """Tell whether every source was read completely, and the list of every selected group to its end.

    A group of which the state knows no more than that it is there has the members that the upstream shows. With
    `foresee` it is enough that they were looked at since the state was restored: the push looks before it removes.
    """
    incomplete = [
        select(source.c.name).where(
            source.c.completeness != Completeness.COMPLETE.value, source.c.name.in_(list(sources))
        ),
        select(desired_group.c.entry_id).where(desired_group.c.whole.is_(false())),
    ]
    if any_unread(connection):
        of_these = entry.c.kind == EntryKind.GROUP.value, entry.c.present, entry.c.source.in_(list(sources))
        incomplete.append(select(entry.c.id).where(not_read_in(entry), *of_these))
        if not foresee or fact_of(connection, UNSEEN):
            incomplete.append(
                select(desired_group.c.entry_id)
                .join(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
                .where(desired_group.c.members_complete.is_(false()), ledger_group.c.in_doubt)
            )
    return all(connection.execute(query.limit(1)).first() is None for query in incomplete)


def active_and_unlisted() -> Query:
    """Select the active users upstream who are there, and whom no selected group lists as far as is known."""
    return (
        select(ledger_user.c.entry_id)
        .join(entry, entry.c.id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .where(ledger_user.c.active, not_(protected()), entry.c.present, desired_user.c.entry_id.is_(None))
    )


def protected_from_removal(*, by_name: bool) -> Query:
    """Select the users whom only their protection, by name or by domain, keeps active upstream."""
    protection = ledger_user.c.guarded if by_name else ledger_user.c.protected
    return (
        select(ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .where(protection == true(), ledger_user.c.active, unwanted(true()))
    )


def accounts_to_retire(*, foresee: bool) -> Query:
    """Select the accounts that were replaced and are in no group any more; with `foresee`, will be in none.

    As long as a group is in doubt, it may have members that are not on record.
    """
    listed = exists().where(former_member.c.scim_id == former_account.c.scim_id)
    kept = listed.where(still_needed()) if foresee else listed
    return (
        select(former_account)
        .where(
            marked(former_account.c.entry_id),
            not_(protected_aside()),
            ~kept,
            true() if foresee else ~exists().where(ledger_group.c.in_doubt),
        )
        .order_by(former_account.c.scim_id)
    )
