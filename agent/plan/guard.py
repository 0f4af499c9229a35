"""The guard: how much one cycle may take away without being asked (invariant 8).

It counts what a plan removes and compares with what stands upstream. A guard that stops holds back every removal
of the plan and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select, union, update

from agent.plan.operations import DeactivateUser, Operation, RemoveMembers, RetireAccount
from agent.settings import GuardSettings
from agent.state.database import upsert
from agent.state.tables import (
    approval,
    desired_group,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says. `reasons` is empty when the removals may go on.

    final:  no approval lifts it, because it is not a matter of how many
    """

    reasons: tuple[str, ...] = ()
    approved: bool = False
    final: bool = False

    @property
    def lets_through(self) -> bool:
        """Whether the removals may be carried out."""
        return self.approved or not self.reasons

    @property
    def asks_for_approval(self) -> bool:
        """Whether an approval would let the removals through."""
        return not self.lets_through and not self.final


def judge(connection: Connection, settings: GuardSettings, removals: Sequence[Operation]) -> Verdict:
    """Judge the removals of a plan against what the ledger says stands upstream."""
    reasons = []
    # People, not accounts: whoever has a new account beside the one it replaces is one.
    users = len(
        {removal.subject.entry_id for removal in removals if isinstance(removal, DeactivateUser | RetireAccount)}
    )
    standing = union(
        select(ledger_user.c.entry_id).where(ledger_user.c.active), select(former_account.c.entry_id)
    ).subquery()
    active = _count(connection, select(func.count()).select_from(standing))
    if users > (limit := max(settings.users, int(settings.users_share * active))):
        reasons.append(
            f"{users} of {active} active users would be deactivated; the limit is {limit} ([guard] users, users_share)."
        )
    emptied = 0
    for operation in removals:
        if not isinstance(operation, RemoveMembers):
            continue
        size = sum(
            _count(
                connection,
                select(func.count()).select_from(table).where(table.c.group_id == operation.subject.entry_id),
            )
            for table in (ledger_member, former_member)
        )
        leaving = len(operation.members)
        emptied += leaving == size
        limit = max(settings.members, int(settings.members_share * size))
        if size >= settings.members_from and leaving > limit:
            reasons.append(
                f"group {operation.subject.label} would lose {leaving} of {size} members; the limit is {limit} "
                "([guard] members, members_share)."
            )
    groups = _count(connection, select(func.count()).select_from(ledger_group))
    if groups and not _count(connection, select(func.count()).select_from(desired_group)):
        reasons.append(
            f"no group is selected any more, and the upstream holds {groups} of Rollcall's. That is "
            "hardly meant: check "
            "[scope] groups."
        )
    if emptied > (limit := max(settings.groups, int(settings.groups_share * groups))):
        reasons.append(
            f"{emptied} of {groups} groups would lose all their members; the limit is {limit} "
            "([guard] groups, groups_share)."
        )
    return Verdict(tuple(reasons))


def approve(connection: Connection, digest: str, by: str, valid: timedelta) -> datetime:
    """Record that removals with this digest may be carried out once. Returns until when."""
    now = datetime.now(UTC)
    row = {"digest": digest, "approved_at": now, "approved_by": by, "expires_at": now + valid, "used_at": None}
    upsert(connection, approval, [row])
    return now + valid


def approved(connection: Connection, digest: str) -> bool:
    """Tell whether a valid and unused approval names this digest."""
    row = connection.execute(select(approval).where(approval.c.digest == digest)).first()
    return row is not None and row.used_at is None and row.expires_at > datetime.now(UTC)


def use_approval(connection: Connection, digest: str) -> None:
    """An approval is for one plan, once."""
    connection.execute(update(approval).where(approval.c.digest == digest).values(used_at=datetime.now(UTC)))


def _count(connection: Connection, statement: object) -> int:
    return connection.execute(statement).scalar_one()  # type: ignore[call-overload, no-any-return]
