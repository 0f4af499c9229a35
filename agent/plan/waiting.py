"""What was refused upstream, and waits for its next attempt."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import or_, select

from agent.plan.operations import ANYTHING, CreateUser, Operation
from agent.state.database import State
from agent.state.tables import rejected


class Retry(StrEnum):
    """What is tried of what was refused before: what is due, all but what is refused for good, or all."""

    WHEN_DUE = "when due"
    AT_ONCE = "at once"
    FOR_GOOD_TOO = "for good, too"


class Waiting:
    """The operations whose next attempt is not due yet when this is made, by entry and verb."""

    def __init__(self, state: State, retry: Retry) -> None:
        self._digests = _rejected_and_waiting(state, retry)

    def holds(self, entry_id: int, verb: str) -> bool:
        """Tell whether such an operation on an entry waits, whatever exactly it is."""
        return (entry_id, verb) in self._digests

    def lets_through(self, operation: Operation) -> bool:
        """Tell whether an operation may be tried now: it was not refused, or long enough ago, or is another now."""
        waiting = self._digests.get((operation.subject.entry_id, operation.verb))
        if waiting == ANYTHING:
            # An invitation that is gone: nothing but another one has to wait.
            return not (isinstance(operation, CreateUser) and operation.address.external)
        return waiting is None or waiting != getattr(operation, "digest", "")


def _rejected_and_waiting(state: State, retry: Retry) -> dict[tuple[int, str], str]:
    """Return the digest of what waits for its next attempt, by entry and operation."""
    if retry is Retry.FOR_GOOD_TOO:
        return {}
    columns, now = (rejected.c.entry_id, rejected.c.operation, rejected.c.digest), datetime.now(UTC)
    waiting = select(*columns).where(rejected.c.next_attempt_at > now)
    # What seems to be refused in the future was dated by a clock that was ahead: that wait would take as long as that.
    of_the_future = rejected.c.last_at.is_not(None) & (rejected.c.last_at > now)
    waiting = waiting.where(or_(~of_the_future, rejected.c.digest == ANYTHING))
    if retry is Retry.AT_ONCE:
        waiting = waiting.where(rejected.c.final)
    with state.read() as connection:
        return {(row.entry_id, row.operation): row.digest for row in connection.execute(waiting)}
