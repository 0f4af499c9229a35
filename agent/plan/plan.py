"""A plan: what a cycle would do, counted, with the digest that an approval names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from agent.plan.difference import Difference
from agent.plan.operations import (
    DESTRUCTIVE,
    AddMembers,
    DeactivateUser,
    Operation,
    Phase,
    RemoveMembers,
    RetireAccount,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference, counted.

    operations:  how many operations of each verb
    joining:     memberships to add
    leaving:     memberships to remove
    removals:    the destructive operations themselves, for the guard and for the administrator to read; also those
                 that wait for their next attempt, so that what is approved does not depend on the time of day
    digest:      names exactly these removals; it does not change when somebody joins
    """

    operations: dict[str, int]
    joining: int
    leaving: int
    removals: tuple[Operation, ...]
    digest: str

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.operations


def draw_up(difference: Difference) -> Plan:
    """Count what is to be done, in the order of the phases."""
    counts: Counter[str] = Counter()
    joining = leaving = 0
    removals: list[Operation] = []
    digest = hashlib.sha256()
    for phase in Phase:
        for operation in difference.operations(phase, foresee=True, waiting_too=phase in DESTRUCTIVE):
            if phase in DESTRUCTIVE:
                removals.append(operation)
                digest.update(f"{operation.verb}:{operation.subject.entry_id}:".encode())
                digest.update(getattr(operation, "digest", "").encode() + b"\n")
            if not difference.due(operation):
                continue
            counts[operation.verb] += 1
            if isinstance(operation, AddMembers):
                joining += len(operation.members)
            if isinstance(operation, RemoveMembers):
                leaving += len(operation.members)
    return Plan(dict(counts), joining, leaving, tuple(removals), digest.hexdigest()[:16])


def as_planned(
    plan: Plan, operations: Callable[[Phase], Iterator[Operation]]
) -> Callable[[Phase], Iterator[Operation]]:
    """Keep removals to those of the plan: the guard has seen no others, and they wait for the next plan.

    While a plan is carried out more may come to light: a group that is taken over turns out to have members. What was
    planned is known by its ids upstream, because an account may pass from one entry to another meanwhile.
    """
    users = {removal.scim_id for removal in plan.removals if isinstance(removal, DeactivateUser | RetireAccount)}
    members = {
        (removal.scim_id, member.scim_id)
        for removal in plan.removals
        if isinstance(removal, RemoveMembers)
        for member in removal.members
    }

    def planned(phase: Phase) -> Iterator[Operation]:
        for operation in operations(phase):
            if isinstance(operation, RemoveMembers):
                leaving = tuple(item for item in operation.members if (operation.scim_id, item.scim_id) in members)
                if leaving:
                    yield replace(operation, members=leaving)
            elif not isinstance(operation, DeactivateUser | RetireAccount) or operation.scim_id in users:
                yield operation

    return planned
