"""What the guard holds of somebody, or of a group, and what lets it through."""

from __future__ import annotations

from agent.explanation.facts import CycleSeen
from agent.plan.guard import Verdict
from agent.plan.operations import Operation, RemoveMembers
from agent.plan.plan import name_of

_FINAL = "no approval lifts that: rollcall status says why"
_TO_PLAN = "run rollcall plan, and approve what it prints"


class Held:
    """What is held as the sources were last read.

    verdict:           of the guard, by now
    cycle:             the last one
    settings_changed:  since the cycle: the next one has another plan, of which nothing is known yet
    """

    def __init__(self, verdict: Verdict, cycle: CycleSeen | None, *, settings_changed: bool) -> None:
        held = verdict.held if verdict.stops else ()
        self._everything = self._named = False
        self._to_do = _FINAL if verdict.final else _TO_PLAN
        if settings_changed:
            held, self._everything, self._to_do = (), cycle is not None and cycle.removals_held, _TO_PLAN
        elif not verdict.final and cycle is not None and verdict.digest == cycle.plan_digest:
            # What an administrator has not seen may be more than is meant, so of another plan no digest is named.
            self._to_do = f"to let it through: rollcall approve {verdict.digest}"
            self._named = True
        self._whole = {name_of(removal) for removal in held}
        self._members = {
            removal.scim_id: {member.scim_id for member in removal.members}
            for removal in held
            if isinstance(removal, RemoveMembers)
        }

    def holds(self, removal: Operation) -> str | None:
        """Say that a removal is held, and what to do; None: it is not."""
        if not self._everything and not self._is_held(removal):
            return None
        if self._named:
            return f"the guard held it in the last cycle; {self._to_do}"
        return f"the guard holds it; {self._to_do}"

    def of_group(self, scim_id: str | None) -> str | None:
        """Say that removals from a group are held, and what to do; None: none is known to be."""
        members = self._members.get(scim_id or "")
        if not members:
            return None
        number = "1 member" if len(members) == 1 else f"{len(members)} members"
        return f"the guard holds the removal of {number} from it; {self._to_do}"

    def _is_held(self, removal: Operation) -> bool:
        if isinstance(removal, RemoveMembers):
            members = self._members.get(removal.scim_id, set())
            return any(member.scim_id in members for member in removal.members)
        return name_of(removal) in self._whole
