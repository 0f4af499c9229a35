"""A plan: what a cycle would do, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from agent.plan.difference import Difference
from agent.plan.operations import (
    DESTRUCTIVE,
    AddMembers,
    DeactivateUser,
    DeleteGroup,
    DeleteUser,
    Operation,
    Phase,
    RemoveMembers,
    RetireAccount,
)
from agent.plan.removals import goes_with_a_membership

_WHOLE = (DeactivateUser, RetireAccount, DeleteUser, DeleteGroup)


def name_of(removal: Operation) -> tuple[str, str]:
    """Name a removal by what it does and the id upstream, which stays when an account passes to another entry."""
    what = "user leaves" if isinstance(removal, DeactivateUser | RetireAccount) else removal.verb
    return what, str(getattr(removal, "scim_id", ""))


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference, counted.

    operations:  how many operations of each verb
    joining:     memberships to add
    leaving:     memberships to remove
    removals:    the destructive operations themselves, for the guard and for the administrator to read; also those
                 that wait for their next attempt, so that what is approved does not depend on the time of day
    """

    operations: dict[str, int]
    joining: int
    leaving: int
    removals: tuple[Operation, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.operations


def draw_up(difference: Difference) -> Plan:
    """Count what is to be done, in the order of the phases."""
    counts: Counter[str] = Counter()
    joining = leaving = 0
    removals: list[Operation] = []
    for phase in Phase:
        for operation in difference.operations(phase, foresee=True, waiting_too=phase in DESTRUCTIVE):
            if phase in DESTRUCTIVE:
                removals.append(operation)
            if not difference.waiting.lets_through(operation):
                continue
            counts[operation.verb] += 1
            if isinstance(operation, AddMembers):
                joining += len(operation.members)
            if isinstance(operation, RemoveMembers):
                leaving += len(operation.members)
    return Plan(dict(counts), joining, leaving, tuple(removals))


def removals_of(difference: Difference) -> tuple[Operation, ...]:
    """Return the removals of the plan alone."""
    return tuple(
        operation
        for phase in Phase
        if phase in DESTRUCTIVE
        for operation in difference.operations(phase, foresee=True, waiting_too=True)
    )


def as_planned(
    permitted: Collection[Operation], operations: Callable[[Phase], Iterator[Operation]]
) -> Callable[[Phase], Iterator[Operation]]:
    """Keep removals to those that are permitted: the guard has seen no others, and they wait for the next plan.

    While a plan is carried out more may come to light: a group that is taken over turns out to have members, or nobody
    follows those who leave a group, because all who were to join were refused. What was planned is known by its ids
    upstream, because an account may pass from one entry to another meanwhile.
    """
    emptied = {removal.scim_id for removal in permitted if isinstance(removal, RemoveMembers) and removal.empties}
    staying: set[int] = set()
    whole = {name_of(removal) for removal in permitted}
    members = {
        (removal.scim_id, member.scim_id)
        for removal in permitted
        if isinstance(removal, RemoveMembers)
        for member in removal.members
    }

    def planned(phase: Phase) -> Iterator[Operation]:
        for operation in operations(phase):
            if isinstance(operation, RemoveMembers):
                leaving = tuple(item for item in operation.members if (operation.scim_id, item.scim_id) in members)
                if operation.empties and operation.scim_id not in emptied:
                    staying.update(member.entry_id for member in operation.members)
                elif leaving:
                    yield replace(operation, members=leaving)
            elif not isinstance(operation, _WHOLE) or (
                name_of(operation) in whole
                and not (operation.subject.entry_id in staying and goes_with_a_membership(operation))
            ):
                yield operation

    return planned
