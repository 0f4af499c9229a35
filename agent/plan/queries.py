"""The queries of the difference: one for each kind of operation, restricted to what is marked."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union,
)

from agent.plan.locks import Locks
from agent.state.database import batched
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
    mark,
    rejected,
    same_person,
    source,
)
from connectors.base import Completeness

_BATCH = 500
of_group, of_user = entry.alias("of_group"), entry.alias("of_user")
_Query = Select[tuple[object, ...]]
_Within = int | None  # the number of the one group that is asked for

# A user that can be pushed as it is. One with a problem stays upstream as it stands: a missing address is no proof
# that somebody left.
PUSHABLE = and_(desired_user.c.problem.is_(None), desired_user.c.provisioned, desired_user.c.active)
# The account upstream is the organisation's own only where both the address it has and the one it should have are.
_EXTERNAL = or_(ledger_user.c.external, desired_user.c.external)
_MOVED = and_(ledger_user.c.email != "", ledger_user.c.email_key != desired_user.c.email_key)


def locked(locks: Locks) -> ColumnElement[bool]:
    """Tell whether what stands upstream may not be made equal to what should."""
    if locks.profile:
        return _EXTERNAL
    return and_(_EXTERNAL, _MOVED) if locks.address else false()


def replaced(locks: Locks) -> ColumnElement[bool]:
    """Tell whether another address means another account."""
    return and_(_EXTERNAL, _MOVED) if locks.address and locks.replaced else false()


def _barred(locks: Locks) -> ColumnElement[bool]:
    """Tell whether the account keeps an address of a blocked domain, whatever the directory says by now.

    It may be that the upstream refuses it another one.
    """
    refused = exists().where(rejected.c.entry_id == ledger_user.c.entry_id)
    stays = or_(desired_user.c.problem.is_not(None), and_(locked(locks), not_(replaced(locks))), refused)
    return and_(ledger_user.c.blocked, stays)


def users_to_push(locks: Locks) -> _Query:
    """Select the users of whom something has to be created or updated."""
    pushed = union_of(users_to_create(), users_to_update(locks))
    return union_of(pushed, users_to_replace(locks)) if locks.address and locks.replaced else pushed


def users_to_create() -> _Query:
    """Select the users that should stand upstream and do not."""
    return (
        select(desired_user.c.entry_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(_marked(desired_user.c.entry_id), ledger_user.c.entry_id.is_(None), PUSHABLE)
    )


def users_to_replace(locks: Locks) -> _Query:
    """Select the users whose account has another address than they have, where that means another account."""
    return (
        select(desired_user.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(_marked(desired_user.c.entry_id), PUSHABLE, replaced(locks))
    )


def users_to_update(locks: Locks) -> _Query:
    """Select the users that stand upstream otherwise than they should, the inactive who return among them.

    Of a locked profile nothing is sent, but whoever returns has to be taken note of.
    """
    differs, inactive = ledger_user.c.digest != desired_user.c.digest, ledger_user.c.active.is_(false())
    free = not_(locked(locks))
    return (
        select(desired_user.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(
            _marked(desired_user.c.entry_id),
            PUSHABLE,
            or_(and_(differs, free), inactive),
            not_(replaced(locks)),
            not_(_barred(locks)),
        )
    )


def profiles_that_differ(locks: Locks, *, marked_only: bool) -> _Query:
    """Select the users who have other attributes in the directory than upstream, where that stays so."""
    return (
        select(ledger_user.c.user_name, ledger_user.c.email.label("held"), desired_user.c.email)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(
            _marked(desired_user.c.entry_id) if marked_only else true(),
            PUSHABLE,
            ledger_user.c.digest != desired_user.c.digest,
            locked(locks),
            not_(replaced(locks)),
        )
        .order_by(ledger_user.c.user_name)
    )


def groups_to_create() -> _Query:
    """Select the selected groups that do not stand upstream."""
    return (
        select(desired_group.c.entry_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(_marked(desired_group.c.entry_id), ledger_group.c.entry_id.is_(None), desired_group.c.problem.is_(None))
    )


def groups_to_create_for(user_id: int) -> _Query:
    """Select the groups that a user is to be in, and that do not stand upstream."""
    joins = select(desired_member.c.group_id).where(desired_member.c.user_id == user_id, desired_member.c.provisioned)
    missing = groups_to_create().subquery()
    return select(missing).where(missing.c.entry_id.in_(joins))


def groups_to_update() -> _Query:
    """Select the groups whose name changed."""
    return (
        select(desired_group.c.entry_id)
        .join(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(
            _marked(desired_group.c.entry_id),
            ledger_group.c.digest != desired_group.c.digest,
            desired_group.c.problem.is_(None),
        )
    )


def groups_in_doubt() -> _Query:
    """Select the groups whose members upstream are not known: a change was begun and its outcome is not recorded."""
    return select(ledger_group.c.entry_id).where(_marked(ledger_group.c.entry_id), ledger_group.c.in_doubt)


def members_to_add(within: _Within = None, *, foresee: bool, locks: Locks) -> _Query:
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
            or_(ledger_user.c.entry_id.is_(None), not_(_barred(locks))),
            true() if foresee else both_ends,
            true() if within is None else desired_member.c.group_id == within,
        )
    )
    return union_of(
        query.where(_marked(desired_member.c.group_id)),
        query.where(_marked(desired_member.c.user_id)),
    )


def members_to_remove(within: _Within = None, *, locks: Locks) -> _Query:
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
        ~claimed(ledger_member.c.group_id),
    )
    withdrawn = and_(desired_member.c.group_id.is_not(None), desired_member.c.withdrawn)
    let_go = and_(ledger_user.c.external, _unwanted(~claimed())) if locks.profile else false()
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
            or_(left, withdrawn, let_go, _barred(locks)),
            not_(_protected()),
            ledger_group.c.guarded.is_(false()),
            true() if within is None else ledger_member.c.group_id == within,
        )
    )
    standing = union_of(
        query.where(_marked(ledger_member.c.group_id)),
        query.where(_marked(ledger_member.c.user_id)),
    )
    return union_of(standing, _former_members(within))


def _cause_of_removal(locks: Locks) -> ColumnElement[str]:
    return case(
        (of_user.c.present.is_(false()), func.coalesce(of_user.c.gone_evidence, "gone from the directory")),
        (desired_member.c.withdrawn, desired_user.c.held_back),
        (_barred(locks), _blocked_domain()),
        (
            of_group.c.present.is_(false()),
            "the group is gone: " + func.coalesce(of_group.c.gone_evidence, "the directory has it no more"),
        ),
        (desired_group.c.entry_id.is_(None), "the group is not selected any more ([scope] groups)"),
        (desired_user.c.active.is_(false()), "disabled in the directory"),
        else_="no longer a member of the group",
    )


def _blocked_domain() -> ColumnElement[str]:
    return "the domain " + ledger_user.c.domain + " is blocked ([external] blocked_domains)"


def _protected() -> ColumnElement[bool]:
    """Tell whether nothing may be taken from a user: by the domain of the address it has, or by name."""
    return or_(ledger_user.c.protected, ledger_user.c.guarded)


def _former_members(within: _Within) -> _Query:
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
            _marked(former_account.c.entry_id),
            former_account.c.protected.is_(false()),
            ~_still_needed(),
            true() if within is None else former_member.c.group_id == within,
        )
    )


def users_to_deactivate(locks: Locks, *, unlisted_too: bool = True) -> _Query:
    """Select the active users upstream who should not be, with the cause in words.

    unlisted_too:  also those whom no group lists any more, as far as is known
    """
    leader = entry.alias("leader")
    cause = case(
        (entry.c.present.is_(false()), entry.c.gone_evidence),
        (leader.c.id.is_not(None), "the same person as " + leader.c.dn + " ([same_person] by), whose account stays"),
        (desired_user.c.entry_id.is_(None), "no longer a member of any selected group"),
        (desired_user.c.active.is_(false()), "disabled in the directory"),
        (_barred(locks), _blocked_domain()),
        else_=desired_user.c.held_back,
    )
    return (
        select(
            ledger_user.c.entry_id,
            ledger_user.c.scim_id,
            ledger_user.c.user_name.label("label"),
            cause.label("cause"),
            (ledger_user.c.external if locks.profile else false()).label("locked"),
        )
        .join(entry, entry.c.id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(same_person, same_person.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(leader, and_(leader.c.id == same_person.c.leader_id, leader.c.id != ledger_user.c.entry_id))
        .where(
            _marked(ledger_user.c.entry_id),
            ledger_user.c.active,
            not_(_protected()),
            or_(_unwanted(or_(entry.c.present.is_(false()), ~claimed() if unlisted_too else false())), _barred(locks)),
        )
    )


def lists_are_known(connection: Connection, sources: Collection[str]) -> bool:
    """Tell whether every source was read completely, and the list of every selected group to its end."""
    incomplete = (
        select(source.c.name).where(
            source.c.completeness != Completeness.COMPLETE.value, source.c.name.in_(list(sources))
        ),
        select(desired_group.c.entry_id).where(desired_group.c.members_complete.is_(false())),
    )
    return all(connection.execute(query.limit(1)).first() is None for query in incomplete)


def active_and_unlisted() -> _Query:
    """Select the active users upstream who are there, and whom no selected group lists as far as is known."""
    return (
        select(ledger_user.c.entry_id)
        .join(entry, entry.c.id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .where(ledger_user.c.active, entry.c.present, desired_user.c.entry_id.is_(None))
    )


def protected_from_removal() -> _Query:
    """Select the users whom only their protection keeps active upstream."""

    def kept(protection: ColumnElement[bool]) -> _Query:
        return (
            select(ledger_user.c.entry_id)
            .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
            .where(protection, ledger_user.c.active, _unwanted(true()))
        )

    # One after the other, so that each finds its own index: every cycle asks.
    return union_of(kept(ledger_user.c.protected == true()), kept(ledger_user.c.guarded == true()))


def accounts_to_retire(*, foresee: bool) -> _Query:
    """Select the accounts that were replaced and are in no group any more; with `foresee`, will be in none.

    As long as a group is in doubt, it may have members that are not on record.
    """
    listed = exists().where(former_member.c.scim_id == former_account.c.scim_id)
    kept = listed.where(_still_needed()) if foresee else listed
    return (
        select(former_account)
        .where(
            _marked(former_account.c.entry_id),
            former_account.c.protected.is_(false()),
            ~kept,
            true() if foresee else ~exists().where(ledger_group.c.in_doubt),
        )
        .order_by(former_account.c.scim_id)
    )


def _still_needed() -> ColumnElement[bool]:
    """Tell whether a membership of a replaced account is the only access of somebody who is to have it."""
    wanted = (
        select(desired_member.c.group_id)
        .join(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
        .where(
            desired_member.c.group_id == former_member.c.group_id,
            desired_member.c.user_id == former_account.c.entry_id,
            desired_member.c.withdrawn.is_(false()),
            desired_user.c.withdrawn.is_(false()),
            desired_user.c.active,
        )
        .correlate(former_member, former_account)
    )
    taken_over = exists().where(
        ledger_member.c.group_id == former_member.c.group_id, ledger_member.c.user_id == former_account.c.entry_id
    )
    return and_(wanted.exists(), ~taken_over)


def _unwanted(sure: ColumnElement[bool]) -> ColumnElement[bool]:
    """Tell whether a user should not be active upstream. sure: that nobody wants the user is proven."""
    nobody_wants = and_(desired_user.c.entry_id.is_(None), sure)
    return or_(nobody_wants, desired_user.c.withdrawn, desired_user.c.active.is_(false()))


def claimed(group_id: Column[int] | None = None) -> ColumnElement[bool]:
    """Ask whether an entry of another source claims this account by its user name: in that group, or in any.

    It is not pushed, because the account belongs to an entry that is there; but both may be one person, whom
    [same_person] does not connect (any more). So that nobody is listed under this name is not proven.
    """
    claim, led = desired_user.alias("claim"), same_person.alias("led")
    claimant, owner = entry.alias("claimant"), entry.alias("owner")
    listed = select(desired_member.c.group_id).where(
        desired_member.c.group_id == group_id,
        desired_member.c.user_id == claim.c.entry_id,
        desired_member.c.provisioned,
    )
    return (
        select(claim.c.entry_id)
        .join(claimant, claimant.c.id == claim.c.entry_id)
        .join(owner, owner.c.source != claimant.c.source)
        .where(
            claim.c.user_name_key == ledger_user.c.user_name_key,
            owner.c.id == ledger_user.c.entry_id,
            # Who would not be let in claims nothing.
            claim.c.active,
            claim.c.provisioned,
            # Who leads the owner has an account of its own.
            claim.c.entry_id.not_in(select(led.c.leader_id).where(led.c.entry_id == ledger_user.c.entry_id)),
            true() if group_id is None else listed.correlate(claim, ledger_member).exists(),
        )
        .correlate(ledger_user, ledger_member)
        .exists()
    )


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


def _marked(number: Column[int]) -> ColumnElement[bool]:
    """Restrict a query to what is marked.

    Not a join: a database that does not know how few marks there are would rather look through everything and ask of
    each row whether it is marked. A list of values it looks up.
    """
    return number.in_(select(mark.c.entry_id))


def union_of(first: _Query, second: _Query) -> _Query:
    """Return one query for the rows of both, each row once."""
    return select(union(first, second).subquery())
