"""What decides whether something upstream is as it should be: the conditions that the queries share."""

from __future__ import annotations

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Select,
    and_,
    exists,
    false,
    not_,
    or_,
    select,
    true,
    union,
)

from agent.plan.locks import Locks
from agent.plan.operations import CreateUser, UpdateUser
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
)

Query = Select[tuple[object, ...]]
Within = BindParameter[int] | None  # stands for the number of the one group that is asked for

_MANY = 3  # attempts, after which a refusal is no passing trouble

# Who claims an account, and whose it is. Made once: each time, an alias would copy all columns of its table.
_claim, _led, _own = desired_user.alias("claim"), same_person.alias("led"), ledger_user.alias("own")
_claimant, _owner = entry.alias("claimant"), entry.alias("owner")
_several = same_person.alias("several")

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


def barred(locks: Locks) -> ColumnElement[bool]:
    """Tell whether the account keeps an address of a blocked domain, whatever the directory says by now.

    It may be that the upstream refuses it another one, again and again.
    """
    many = rejected.c.attempts >= _MANY
    of_address = rejected.c.operation.in_((UpdateUser.verb, CreateUser.verb))
    refused = exists().where(rejected.c.entry_id == ledger_user.c.entry_id, of_address, or_(many, rejected.c.final))
    return and_(ledger_user.c.blocked, or_(keeps_address(locks), refused))


def keeps_address(locks: Locks) -> ColumnElement[bool]:
    """Tell whether the account is not going to get the address of the directory."""
    return or_(desired_user.c.problem.is_not(None), and_(locked(locks), not_(replaced(locks))))


def blocked_domain() -> ColumnElement[str]:
    """Say which domain of the address upstream is blocked."""
    return "the domain " + ledger_user.c.domain + " is blocked ([external] blocked_domains)"


def protected() -> ColumnElement[bool]:
    """Tell whether nothing may be taken from a user: by the domain of the address it has, or by name."""
    return or_(ledger_user.c.protected, ledger_user.c.guarded)


def protected_aside() -> ColumnElement[bool]:
    """Tell whether nothing may be taken from an account that was replaced: by its domain, or whose it is, by name."""
    owner = select(ledger_user.c.entry_id).where(ledger_user.c.entry_id == former_account.c.entry_id)
    return or_(former_account.c.protected, owner.where(ledger_user.c.guarded).correlate(former_account).exists())


def still_needed() -> ColumnElement[bool]:
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


def unwanted(sure: ColumnElement[bool]) -> ColumnElement[bool]:
    """Tell whether a user should not be active upstream. sure: that nobody wants the user is proven."""
    nobody_wants = and_(desired_user.c.entry_id.is_(None), sure, ~_keeps_a_membership())
    return or_(nobody_wants, desired_user.c.withdrawn, desired_user.c.active.is_(false()))


def _keeps_a_membership() -> ColumnElement[bool]:
    """Ask whether a user who is there is upstream in a group from which nobody is taken.

    Because not everything is known of its list, or because [guard] protected names it.
    """
    uncertain = (
        select(ledger_member.c.group_id)
        .join(ledger_group, ledger_group.c.entry_id == ledger_member.c.group_id)
        .outerjoin(desired_group, desired_group.c.entry_id == ledger_member.c.group_id)
        .join(entry, entry.c.id == ledger_member.c.user_id)
        .where(
            ledger_member.c.user_id == ledger_user.c.entry_id,
            or_(desired_group.c.members_complete.is_(false()), ledger_group.c.guarded),
            entry.c.present,
            # Who is disabled is; of a person with several entries another may be in use.
            or_(entry.c.active, exists().where(_several.c.entry_id == entry.c.id)),
        )
        .correlate(ledger_user)
    )
    return uncertain.exists()


def claimed(group_id: Column[int] | None = None) -> ColumnElement[bool]:
    """Ask whether an entry of another source claims this account by its user name: in that group, or in any.

    It is not pushed, because the account belongs to an entry that is there; but both may be one person, whom
    [same_person] does not connect (any more). So that nobody is listed under this name is not proven.
    """
    listed = select(desired_member.c.group_id).where(
        desired_member.c.group_id == group_id,
        desired_member.c.user_id == _claim.c.entry_id,
        desired_member.c.provisioned,
    )
    return (
        select(_claim.c.entry_id)
        .join(_claimant, _claimant.c.id == _claim.c.entry_id)
        .join(_owner, _owner.c.source != _claimant.c.source)
        .where(
            _claim.c.user_name_key == ledger_user.c.user_name_key,
            _owner.c.id == ledger_user.c.entry_id,
            # Who would not be let in claims nothing; nor does who has an account of its own.
            _claim.c.entry_id.not_in(select(_own.c.entry_id).where(_own.c.active)),
            _claim.c.active,
            _claim.c.provisioned,
            # Who leads the owner has an account of its own.
            _claim.c.entry_id.not_in(select(_led.c.leader_id).where(_led.c.entry_id == ledger_user.c.entry_id)),
            true() if group_id is None else listed.correlate(_claim, ledger_member).exists(),
        )
        .correlate(ledger_user, ledger_member)
        .exists()
    )


def marked(number: Column[int]) -> ColumnElement[bool]:
    """Restrict a query to what is marked.

    Not a join: a database that does not know how few marks there are would rather look through everything and ask of
    each row whether it is marked. A list of values it looks up.
    """
    return number.in_(select(mark.c.entry_id))


def union_of(first: Query, second: Query) -> Query:
    """Return one query for the rows of both, each row once."""
    return select(union(first, second).subquery())
