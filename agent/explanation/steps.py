"""What the next cycle would do about one person, and why: by the difference that the cycle itself goes by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agent.explanation.account import next_attempt_of
from agent.explanation.facts import GroupPath, Step
from agent.explanation.guarded import Held
from agent.explanation.person import PersonKnown
from agent.plan.difference import Difference
from agent.plan.leavers import Grace
from agent.plan.locks import Locks
from agent.plan.operations import (
    DESTRUCTIVE,
    AddMembers,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    DeleteUser,
    Member,
    Operation,
    Phase,
    RemoveMembers,
    RetireAccount,
    UpdateUser,
)
from agent.state.database import State
from agent.state.tables import rejected

_Row = Row[tuple[Any, ...]]


class Steps:
    """Makes steps of operations.

    groups:  the rows of `groups_of`
    held:    what the guard holds
    """

    def __init__(
        self,
        reader: Connection,
        known: PersonKnown,
        groups: Sequence[_Row],
        paths: Sequence[GroupPath],
        held: Held,
    ) -> None:
        self._reader = reader
        self._known = known
        self._groups = {row.id: row for row in groups}
        self._paths = paths
        self._held = held

    def of(self, state: State, locks: Locks, sources: Collection[str], grace: Grace) -> tuple[Step, ...]:
        """Return what is about this person, in the order of the phases."""
        found: list[Step] = []
        # Of several entries all but the leader may have accounts that are taken out of use.
        for number in sorted(self._known.numbers):
            difference = Difference(state, locks=locks, sources=sources, grace=grace, about=number)
            for phase in Phase:
                for operation in difference.operations(phase, foresee=True, waiting_too=True):
                    waits = None if difference.waiting.lets_through(operation) else self._until_next_attempt(operation)
                    if waits is None and phase in DESTRUCTIVE:
                        waits = self._held.holds(operation)
                    found.append(self._step(operation, number, waits or self._until_both_ends(operation, number)))
        return tuple(found)

    def _step(self, operation: Operation, number: int, waits: str | None) -> Step:
        label = operation.subject.label
        match operation:
            case AddMembers():
                return Step("add to group", label, self._joins(label), waits)
            case RemoveMembers():
                return Step("remove from group", label, self._leaves(operation.subject.entry_id, number), waits)
            case _:
                return Step(operation.verb, label, "; ".join(self._reasons(operation)), waits)

    def _reasons(self, operation: Operation) -> Iterator[str]:
        match operation:
            case CreateUser(replaces=str()):
                yield "the address is another one, which is another account there ([external] changed_address)"
            case CreateUser():
                yield "in a selected group, and not upstream yet"
                if operation.attempted:
                    yield "a create was begun before and its outcome is not known, so it is looked for first"
            case UpdateUser():
                account = self._known.account
                returns = account is not None and not account.active
                yield "it is to be used again" if returns else "it differs from what the upstream acknowledged"
                if operation.locked:
                    yield "the profile is the person's own there and is left as it is"
            case DeleteUser():
                yield operation.cause
            case DeactivateUser() | RetireAccount():
                yield operation.cause
                if operation.locked:
                    yield "the account is the person's own, so it loses its groups and nothing else"

    def _joins(self, group: str) -> str:
        path = next((path for path in self._paths if path.groups[0] == group), None)
        return "a member of it" if path is None else f"listed by {' > '.join(path.groups)}"

    def _leaves(self, group_id: int, number: int) -> str:
        group = self._groups.get(group_id)
        desired = self._known.desired
        if group is None or number != self._known.leader.id:
            return "the account is not the one this person has now"
        if not group.selected:
            return "the group is gone, or not selected any more"
        if not group.listed:
            return "the group does not list it any more"
        if group.withdrawn:
            return str(desired.held_back if desired is not None and desired.held_back else "the policy")
        return "the account is not to be used any more"

    def _until_next_attempt(self, operation: Operation) -> str:
        row = self._refusal_of(operation.subject.entry_id, operation.verb)
        if row is None:
            return "it was refused"
        at = next_attempt_of(row)
        when = "when somebody runs rollcall sync --full" if at is None else f"after {at:%Y-%m-%d %H:%M:%S} UTC"
        return f"the upstream refused it ({row.reason}), and it is tried again {when}"

    def _until_both_ends(self, operation: Operation, number: int) -> str | None:
        """A membership needs the group and the account; where either was refused, it waits."""
        if not isinstance(operation, AddMembers):
            return None
        group_id = operation.subject.entry_id
        if not operation.scim_id and (row := self._refusal_of(group_id, CreateGroup.verb)) is not None:
            return f"it needs the group, which was refused ({row.reason})"
        if Member(number, "") in operation.members and self._refusal_of(number, CreateUser.verb) is not None:
            return "it needs the account, which was refused"
        return None

    def _refusal_of(self, number: int, verb: str) -> _Row | None:
        same = rejected.c.entry_id == number, rejected.c.operation == verb
        return self._reader.execute(select(rejected).where(*same)).first()
