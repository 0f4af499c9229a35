"""A plan: what a cycle would do, counted, with the digest that an approval names."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from agent.plan.difference import Difference
from agent.plan.operations import DESTRUCTIVE, AddMembers, Operation, Phase, RemoveMembers


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference, counted.

    operations:  how many operations of each verb
    joining:     memberships to add
    leaving:     memberships to remove
    removals:    the destructive operations themselves, for the guard and for the administrator to read
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
        for operation in difference.operations(phase, foresee=True):
            counts[operation.verb] += 1
            if isinstance(operation, AddMembers):
                joining += len(operation.members)
            if isinstance(operation, RemoveMembers):
                leaving += len(operation.members)
            if phase in DESTRUCTIVE:
                removals.append(operation)
                digest.update(f"{operation.verb}:{operation.subject.entry_id}:".encode())
                digest.update(getattr(operation, "digest", "").encode() + b"\n")
    return Plan(dict(counts), joining, leaving, tuple(removals), digest.hexdigest()[:16])
