"""The guard: how much may be taken away without being asked (invariant 8).

It counts what a plan removes, and what was removed lately (agent/plan/budget.py), and compares with what stands
upstream. Too many users or groups, a source without anybody, or settings that are not settled hold back every removal;
too many members of one group, or all of them, hold back the removals from that group. Nothing else is held back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, union
from sqlalchemy.sql.selectable import Select

from agent.plan.budget import Kind, used
from agent.plan.limits import Limits
from agent.plan.operations import DeactivateUser, DeleteGroup, DeleteUser, Operation, RemoveMembers, RetireAccount
from agent.plan.removals import digest_of_removals, goes_with_a_membership
from agent.state.tables import (
    desired_group,
    entry,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)
from connectors.distinguished_name import normalise

_OF_USERS = (DeactivateUser, RetireAccount, DeleteUser)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says. `reasons` is empty when everything may go on.

    held:      the removals that may not be carried out
    approved:  somebody has let exactly those through
    final:     no approval lifts it, because it is not a matter of how many
    """

    reasons: tuple[str, ...] = ()
    held: tuple[Operation, ...] = ()
    approved: bool = False
    final: bool = False

    @property
    def stops(self) -> bool:
        """Whether anything is held back, or would be if there were removals."""
        return bool(self.reasons) and not self.approved

    @property
    def asks_for_approval(self) -> bool:
        """Whether an approval would let through what is held."""
        return self.stops and bool(self.held) and not self.final

    @property
    def digest(self) -> str:
        """The name of exactly those removals that are held. It does not change when somebody joins."""
        return digest_of_removals(self.held)

    def let_through(self, removals: Sequence[Operation]) -> tuple[Operation, ...]:
        """Return which of the removals of a plan may be carried out."""
        if not self.stops:
            return tuple(removals)
        held = set(self.held)
        return tuple(removal for removal in removals if removal not in held)


def judge(connection: Connection, limits: Limits, removals: Sequence[Operation]) -> Verdict:
    """Judge the removals of a plan against what the ledger says stands upstream."""
    of_everything = [*_too_many_users(connection, limits, removals), *_too_many_groups(connection, limits, removals)]
    of_groups: list[str] = []
    held: list[Operation] = []
    for removal in removals:
        if isinstance(removal, RemoveMembers) and (reason := _too_many_members(connection, limits, removal)):
            of_groups.append(reason)
            held.append(removal)
    if of_everything:
        return Verdict((*of_everything, *of_groups), tuple(removals))
    members = {member.entry_id for removal in held if isinstance(removal, RemoveMembers) for member in removal.members}
    held += [removal for removal in removals if goes_with_a_membership(removal) and removal.subject.entry_id in members]
    stopped = set(held)
    return Verdict(tuple(of_groups), tuple(removal for removal in removals if removal in stopped))


def _too_many_users(connection: Connection, limits: Limits, removals: Sequence[Operation]) -> list[str]:
    # People, not accounts: whoever has a new account beside the one it replaces is one.
    users = len({removal.subject.entry_id for removal in removals if isinstance(removal, _OF_USERS)})
    standing = union(select(ledger_user.c.entry_id).where(ledger_user.c.active), select(former_account.c.entry_id))
    deleted = sum(1 for removal in removals if isinstance(removal, DeleteUser))
    active = _count(connection, select(func.count()).select_from(standing.subquery())) + deleted
    limit = limits.users(active)
    before = used(connection, Kind.USERS, limit, limits.general.daily) if users else 0
    if not users or users + before <= limit:
        return []
    what = "deactivated or deleted" if deleted else "deactivated"
    told = f"{users} of {active} active users would be {what}{_after(before)}"
    return [f"{told}; the limit is {limit} ([guard] users, users_share{_daily(before)})."]


def _too_many_groups(connection: Connection, limits: Limits, removals: Sequence[Operation]) -> list[str]:
    """Groups that are not selected any more and lose what they have; of those that still are, see below."""
    reasons = []
    groups = _count(connection, select(func.count()).select_from(ledger_group))
    selected = set(connection.execute(select(desired_group.c.entry_id)).scalars()) if groups else set()
    if groups and not selected and any(isinstance(removal, RemoveMembers | DeleteGroup) for removal in removals):
        reasons.append(
            f"no group is selected any more, and the upstream holds {groups} of Rollcall's. That is hardly meant: "
            "check [scope] groups."
        )
    leaving = {
        removal.subject.entry_id
        for removal in removals
        if isinstance(removal, RemoveMembers | DeleteGroup) and removal.subject.entry_id not in selected
    }
    limit = limits.whole_groups(groups)
    before = used(connection, Kind.GROUPS, limit, limits.general.daily) if leaving else 0
    if leaving and len(leaving) + before > limit:
        reasons.append(
            f"{len(leaving)} of {groups} groups would lose all their members, or be deleted, because they are not "
            f"selected any more or gone{_after(before)}; the limit is {limit} ([guard] groups, "
            f"groups_share{_daily(before)})."
        )
    return reasons


def _too_many_members(connection: Connection, limits: Limits, removal: RemoveMembers) -> str | None:
    group_id, leaving = removal.subject.entry_id, len(removal.members)
    size = sum(
        _count(connection, select(func.count()).select_from(table).where(table.c.group_id == group_id))
        for table in (ledger_member, former_member)
    )
    dn = connection.execute(select(entry.c.dn).where(entry.c.id == group_id)).scalar_one()
    of_group = limits.of_group(normalise(dn), removal.subject.label)
    most = of_group.most(size)
    before = (
        used(connection, Kind.MEMBERS, most, limits.general.daily, group_id) if size >= of_group.members_from else 0
    )
    if leaving + before > most:
        return (
            f"group {removal.subject.label} would lose {leaving} of {size} members{_after(before)}; the limit is "
            f"{most} ([guard] members, members_share{_daily(before)})."
        )
    if removal.empties and not of_group.may_become_empty:
        lost = f"all of its {size} members" if leaving == size else f"{leaving} of its {size} members"
        rest = "" if leaving == size else " the others being out of use,"
        return (
            f"group {removal.subject.label} would lose {lost},{rest} and is still selected. If that is "
            "meant, approve it, or set may_become_empty ([guard], [guard.group])."
        )
    return None


def _after(before: int) -> str:
    return f", after {before} in the last days" if before else ""


def _daily(before: int) -> str:
    return ", daily" if before else ""


def _count(connection: Connection, statement: Select[int]) -> int:
    return connection.execute(statement).scalar_one()
