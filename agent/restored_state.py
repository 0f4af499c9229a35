"""A state that was restored from a back-up, and what it does not know.

The audit trail stands beside the state and is not restored with it. A cycle in the trail of which the state knows
nothing was after the back-up: whatever it made upstream is the agent's own, and nobody but the trail says so. Somebody
who came then and has left the directory by now would keep the account for ever.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, select

from agent.errors import StateProblem
from agent.observe.audit_tail import last_cycle_of, records_after
from agent.restored_sources import entries_with_objects, judge_later
from agent.state.database import State
from agent.state.facts import fact_of, read_fact, write_fact
from agent.state.tables import cycle
from agent.taken_up import Record, is_sound, only_of_today, take_up, what_stands
from agent.upstream.service import NOTED_ADDRESS, Service, plain_address

KNOWN_END = "last cycle of this state in the audit trail"  # a fact
_SEEN_END = "last cycle of the audit trail"  # a fact: up to there it was taken up from, whosever it is
_INSTALLATION = "name of this installation"
ELSEWHERE = "restored, and what the trail has of other addresses"  # a fact: a sentence
UNSEEN = "restored, and what stands upstream not looked at"
_FEW = 3
_REFUSED = (errno.EACCES, errno.EPERM)

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
        seen = last is None or fact_of(connection, _SEEN_END) == last
        older = not seen and not _is_own(connection, str(last))
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


def everything_was_looked_at(connection: Connection, *, restored: bool) -> None:
    """It is known what stands upstream. What was told of a restored state is told until the next such look."""
    write_fact(connection, UNSEEN, "")
    if not restored:
        write_fact(connection, ELSEWHERE, "")


def take_up_what_was_made(
    connection: Connection, directory: Path, service: Service, sources: AbstractSet[str], installation: str
) -> None:
    """Enter into the ledger the users and groups that the agent has made, or taken over, since the back-up.

    What counts are the records of this installation about this upstream alone: the ids of another service, or of
    another connection, name strangers here. Under the address that the state has noted stands what the ledger holds, so
    after a change of the address what was made there is compared with what stands here like all of that. Whose source
    is not among `sources` is judged when all those were read. Raises StateProblem.
    """
    ends = {fact_of(connection, KNOWN_END), fact_of(connection, _SEEN_END)}
    with _readable(directory):
        later = records_after(directory, lambda cycle_id: cycle_id in ends or _has_ended(connection, cycle_id))
        write_fact(connection, _SEEN_END, last_cycle_of(directory) or "")
    write_fact(connection, UNSEEN, "yes")
    ours = [record for record in later.records if is_sound(record)]
    own = later.after if later.after and _is_own(connection, str(later.after["cycle_id"])) else None
    ours = _of_this_installation(own, ours, installation)
    if own and (name := _name_since(ours, installation)) != installation:
        write_fact(connection, _INSTALLATION, name)
    noted, here = fact_of(connection, NOTED_ADDRESS) or "", plain_address(service.base)
    about: list[Record] = []
    elsewhere: list[str] = []
    for record in ours:
        # Older versions did not write the address down.
        address = plain_address(str(record.get("upstream") or noted))
        # What was begun elsewhere has no id by which it could be told from a stranger's.
        if address == here or (noted and address == plain_address(noted) and record["scim_id"]):
            about.append(record | {"upstream": address})
        else:
            elsewhere.append(address)
    write_fact(connection, ELSEWHERE, _about_elsewhere(elsewhere))
    standing = what_stands(about)
    if noted and plain_address(noted) != here:
        standing = only_of_today(connection, standing, here)
    held = entries_with_objects(connection)
    taken = take_up(connection, standing, service.address_of, sources, newer=later.after is not None)
    judge_later(connection, {*taken} - held, sources)
    if taken:
        log.warning("taken up from the audit trail", made_since_the_backup=len(taken))


def _of_this_installation(own: Record | None, records: list[Record], installation: str) -> list[Record]:
    """Return the records that this installation has written.

    A trail that goes on from a cycle which the state knows is its own; older versions gave no names. If not even the
    record of that cycle bears the name of the state, the back-up was made by such a version, and got another name when
    it was brought up again.

    own:  the record of a cycle of this state that they follow
    """
    if own is None:
        return [record for record in records if installation and record.get("installation") == installation]
    if own.get("installation") != installation:
        return records
    return [record for record in records if (record.get("installation") or installation) == installation]


def _name_since(ours: list[Record], installation: str) -> str:
    """Return the name that the records bear by now, so that this state and its later back-ups have one name."""
    names = (record.get("installation") for record in reversed(ours))
    return next((name for name in names if isinstance(name, str) and name), installation)


def _about_elsewhere(addresses: list[str]) -> str:
    if not addresses:
        return ""
    number = "1 record" if len(addresses) == 1 else f"{len(addresses)} records"
    others = sorted(set(addresses) - {""})
    named = ", ".join(others[:_FEW]) + (", …" if len(others) > _FEW else "")
    return (
        f"Left out of what the audit trail has since the back-up: {number} about another address than [upstream] url"
        f"{f' ({named})' if named else ''}. If that is the same service, look there for accounts that were made since "
        "for people who have left; nothing takes those away."
    )


@contextmanager
def _readable(directory: Path) -> Iterator[None]:
    """Whether a state was restored, and what was made since, is told by the trail alone."""
    try:
        yield
    except OSError as error:
        remedy = (
            "Run as the service account, or correct the owner and the rights of the file"
            if error.errno in _REFUSED
            else "Put the file there again as it was, or repair the disk"
        )
        raise StateProblem(
            f"The audit trail {error.filename or directory} cannot be opened: {error.strerror}. It alone tells "
            "whether the state was restored, so nothing was read from the sources, and nothing was sent. "
            f"{remedy}; the next cycle goes on."
        ) from error


def _is_own(connection: Connection, cycle_id: str) -> bool:
    return fact_of(connection, KNOWN_END) == cycle_id or _is_known(connection, cycle_id)


def _is_known(connection: Connection, cycle_id: str) -> bool:
    return connection.execute(select(cycle.c.id).where(cycle.c.id == cycle_id)).first() is not None


def _has_ended(connection: Connection, cycle_id: str) -> bool:
    """Tell whether the state knows all that a cycle did: a back-up may have been made in the middle of one."""
    ended = select(cycle.c.id).where(cycle.c.id == cycle_id, cycle.c.ended_at.is_not(None))
    return connection.execute(ended).first() is not None
