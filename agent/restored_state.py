"""A state that was restored from a back-up, and what it does not know.

The audit trail stands beside the state and is not restored with it. A cycle in the trail of which the state knows
nothing was after the back-up: whatever it made upstream is the agent's own, and nobody but the trail says so. Somebody
who came then and has left the directory by now would keep the account for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, select

from agent.errors import StateProblem
from agent.observe.audit_tail import last_cycle_of, records_after
from agent.state.database import State
from agent.state.facts import fact_of, read_fact, write_fact
from agent.state.tables import cycle
from agent.taken_up import is_sound, take_up, what_stands
from agent.upstream.service import Service

KNOWN_END = "last cycle of the audit trail"  # a fact: up to there the state knows the trail
_INSTALLATION = "name of this installation"
UNSEEN = "restored, and what stands upstream not looked at"

log = structlog.get_logger()


def installation_of(state: State) -> str:
    """Return the name that this state gives to itself when it is made, and that every record of the trail bears.

    A back-up has it, too. A state that was lost and made anew has another one, and so has that of another connection.
    """
    return read_fact(state, _INSTALLATION) or ""


def was_restored(state: State, directory: Path) -> bool:
    """Tell whether everything has to be looked at upstream, because the state is, or was, older than the audit trail.

    In this cycle, or in a later one if the upstream does not say what stands there. Raises StateProblem.
    """
    return is_to_be_looked_at(state) or is_older(state, directory)


def is_older(state: State, directory: Path) -> bool:
    """Tell whether the audit trail in `directory` ends with a cycle of which the state knows nothing.

    Then the ledger does not hold what that cycle did. Raises StateProblem where the trail cannot be read.
    """
    with _readable(directory):
        last = last_cycle_of(directory)
    with state.read() as connection:
        older = last is not None and fact_of(connection, KNOWN_END) != last and not _is_known(connection, last)
    if older:
        log.warning("the state is older than the audit trail: everything is compared", last_cycle=last)
    return older


def is_to_be_looked_at(state: State) -> bool:
    """Tell whether it was found out already that the state was restored, and what stands upstream is not known yet."""
    return bool(read_fact(state, UNSEEN))


def note_the_end(state: State, directory: Path) -> None:
    """Remember how far the state knows the trail, for its cycles are not kept for ever. Raises StateProblem."""
    with _readable(directory):
        last = last_cycle_of(directory)
    if last is not None and read_fact(state, KNOWN_END) != last:
        with state.write() as connection:
            if _is_known(connection, last):
                write_fact(connection, KNOWN_END, last)


def everything_was_looked_at(connection: Connection) -> None:
    """It is known what stands upstream."""
    write_fact(connection, UNSEEN, "")


def take_up_what_was_made(
    connection: Connection, directory: Path, service: Service, sources: AbstractSet[str], installation: str
) -> None:
    """Enter into the ledger the users and groups that the agent has made, or taken over, since the back-up.

    What counts are the records of this installation about this upstream alone: the ids of another service, or of
    another connection, name strangers here. Nothing can be told of whose source is not among `sources` any more.
    """
    end = fact_of(connection, KNOWN_END)
    with _readable(directory):
        later = records_after(directory, lambda cycle_id: cycle_id == end or _has_ended(connection, cycle_id))
        write_fact(connection, KNOWN_END, last_cycle_of(directory) or "")
    write_fact(connection, UNSEEN, "yes")
    ours = [
        record
        for record in later.records
        if record.get("installation") == installation != "" and record.get("upstream") == service.base
    ]
    sound = [record for record in ours if is_sound(record) and record["source"] in sources]
    taken = take_up(connection, what_stands(sound), service.address_of, newer=later.after is not None)
    if taken:
        log.warning("taken up from the audit trail", made_since_the_backup=taken)


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    """Whether a state was restored, and what was made since, is told by the trail alone."""
    try:
        yield
    except OSError as error:
        raise StateProblem(
            f"The audit trail {error.filename or directory} cannot be read: {error.strerror}. It alone tells whether "
            "the state was restored from a back-up, so nothing was read from the sources, and nothing was sent. Run as "
            "the service account, or correct the owner and the rights of the file; the next cycle goes on."
        ) from error


def _is_known(connection: Connection, cycle_id: str) -> bool:
    return connection.execute(select(cycle.c.id).where(cycle.c.id == cycle_id)).first() is not None


def _has_ended(connection: Connection, cycle_id: str) -> bool:
    """Tell whether the state knows all that a cycle did: a back-up may have been made in the middle of one."""
    ended = select(cycle.c.id).where(cycle.c.id == cycle_id, cycle.c.ended_at.is_not(None))
    return connection.execute(ended).first() is not None
