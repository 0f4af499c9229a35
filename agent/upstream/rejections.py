"""What was refused, and when it is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from agent.plan.operations import ANYTHING, RetireAccount
from agent.state.database import upsert
from agent.state.tables import rejected

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=6)
FINAL_WAIT = timedelta(days=7)
FOR_EVER = timedelta(days=36_500)


def reject(
    connection: Connection,
    entry_id: int,
    verb: str,
    reason: str,
    *,
    digest: str = "",
    final: bool = False,
    until_asked: bool = False,
) -> datetime:
    """Remember the refusal of an operation with its reason. Returns when the next attempt is due.

    The wait doubles each time, but for what is `final`: that is tried again rarely; and `until_asked` only when
    somebody asks for it, whatever changes meanwhile.
    """
    now = datetime.now(UTC)
    digest = ANYTHING if until_asked else digest
    same = rejected.c.entry_id == entry_id, rejected.c.operation == verb
    before = connection.execute(select(rejected).where(*same)).first()
    attempts = 1 if before is None or before.digest != digest else before.attempts + 1
    doubled: timedelta = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)
    wait = FOR_EVER if until_asked else FINAL_WAIT if final else doubled
    row = {
        "entry_id": entry_id,
        "operation": verb,
        "reason": reason,
        "attempts": attempts,
        "digest": digest,
        "first_at": now if before is None else before.first_at,
        "next_attempt_at": now + wait,
        "last_at": now,
        "final": final or until_asked,
    }
    upsert(connection, rejected, [row])
    return now + wait


def forget_refusals_of_user(connection: Connection, entry_id: int) -> None:
    """After the account of a user has been changed: only an account that it replaced may still be refused."""
    of_this_one = rejected.c.operation != RetireAccount.verb
    connection.execute(delete(rejected).where(rejected.c.entry_id == entry_id, of_this_one))


def try_the_refused_again(connection: Connection) -> None:
    """After a change of settings, what was refused for good may be let in. What waits until asked goes on waiting."""
    for_good = (rejected.c.final, rejected.c.digest != ANYTHING)
    connection.execute(update(rejected).where(*for_good).values(next_attempt_at=datetime.now(UTC)))
