"""The part of the ledger that is about creates: from the moment one is sent, nobody knows what stands upstream."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, or_, select

from agent.directory.marks import mark
from agent.plan.conditions import PUSHABLE
from agent.plan.operations import Subject
from agent.state.database import State, upsert
from agent.state.tables import create_attempt, desired_group, desired_user, entry
from agent.upstream.ledger_rows import now
from connectors.base import EntryKind


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A create that was begun, of what is not to be created any more. `name`: the userName or displayName it had."""

    subject: Subject
    anchor: str
    name: str
    is_user: bool


class CreateAttempts:
    """Remembers creates. Its methods may be called from any push worker."""

    def __init__(self, state: State) -> None:
        self._state = state

    def begins(self, subject: Subject, name: str) -> None:
        """Remember that a create under this name is about to be sent."""
        row = {"entry_id": subject.entry_id, "started_at": now(), "name": name}
        with self._state.write() as connection:
            upsert(connection, create_attempt, [row])

    def was_begun(self, subject: Subject) -> bool:
        """Tell whether a create was sent whose outcome is not known."""
        with self._state.read() as connection:
            begun = select(create_attempt.c.entry_id).where(create_attempt.c.entry_id == subject.entry_id)
            return connection.execute(begun).first() is not None

    def forget(self, subject: Subject) -> None:
        """The create made nothing that is the agent's: there is nothing to look for any more."""
        with self._state.write() as connection:
            connection.execute(delete(create_attempt).where(create_attempt.c.entry_id == subject.entry_id))

    def left_behind(self) -> list[LeftBehind]:
        """Return the creates that nobody is going to repeat."""
        users = select(desired_user.c.entry_id).where(PUSHABLE)
        groups = select(desired_group.c.entry_id).where(desired_group.c.problem.is_(None))
        number = create_attempt.c.entry_id
        begun = (
            select(create_attempt, entry.c.anchor, entry.c.kind, entry.c.dn)
            .join(entry, entry.c.id == number)
            .where(
                ~or_(
                    users.where(desired_user.c.entry_id == number).exists(),
                    groups.where(desired_group.c.entry_id == number).exists(),
                )
            )
            .order_by(number)
        )
        with self._state.read() as connection:
            return [
                LeftBehind(
                    Subject(row.entry_id, row.name or row.dn), row.anchor, row.name, row.kind != EntryKind.GROUP.value
                )
                for row in connection.execute(begun)
            ]

    def plan_again(self, subject: Subject) -> None:
        """Have the next plan look at what comes to be known."""
        with self._state.write() as connection:
            mark(connection, [subject.entry_id], references_too=False)
