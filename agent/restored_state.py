"""A state that was restored from a back-up, and what it does not know.

The audit trail stands beside the state and is not restored with it. A cycle in the trail of which the state knows
nothing was after the back-up: whatever it made upstream is the agent's own, and nobody but the trail says so. Somebody
who came then and has left the directory by now would keep the account for ever.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy import Connection, select

from agent.directory.forgotten import forget_content
from agent.directory.unread import UNSEEN
from agent.errors import StateProblem
from agent.made_since import Record, is_sound, what_stands, written_at
from agent.observe.audit_tail import LaterRecords, last_record_of, records_after
from agent.state.database import State
from agent.state.facts import fact_of, read_fact, write_fact
from agent.state.tables import cycle
from agent.taken_up import are_back, only_of_today, take_names, take_up
from agent.upstream.service import NOTED_ADDRESS, Service, plain_address

KNOWN_END = "last cycle of this state in the audit trail"  # a fact
_SEEN_END = "last cycle of the audit trail"  # a fact: up to there it was taken up from, whosever it is
_INSTALLATION = "name of this installation"
ELSEWHERE = "restored, and what the trail has of other addresses"  # a fact: a sentence
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
    """Tell whether the audit trail in `directory` ends with a cycle of which the state knows nothing, or not all.

    Then the ledger does not hold what that cycle did. Raises StateProblem where the trail cannot be read.
    """
    with _readable(directory), state.read() as connection:
        last = last_record_of(directory)
        if last is None or _is_seen(connection, directory, last):
            return False
        if _is_before_the_state(connection, last) and _later(connection, directory, _is_known).after is None:
            return False
    log.warning("the state is older than the audit trail: everything is compared", last_cycle=last["cycle_id"])
    return True


def _is_seen(connection: Connection, directory: Path, last: Record) -> bool:
    cycle_id = str(last["cycle_id"])
    if cycle_id in {fact_of(connection, _SEEN_END), fact_of(connection, KNOWN_END)}:
        return True
    known = connection.execute(select(cycle.c.ended_at, cycle.c.records).where(cycle.c.id == cycle_id)).first()
    if known is None or known.ended_at is not None or known.records is None:
        return known is not None
    # It was ended in the middle, or the back-up was made there: the records of a cycle are counted in the state first.
    later = _later(connection, directory, _has_ended)
    return all(_number(record) <= known.records for record in later if record.get("cycle_id") == cycle_id)


def _number(record: Record) -> int:
    number = record.get("number")
    return number if isinstance(number, int) else 0


def _is_before_the_state(connection: Connection, last: Record) -> bool:
    """Tell whether the state has seen cycles end since the trail does.

    If it knows nothing in the trail, then that is what was left of it when its last part was taken away, or is from so
    long ago that nobody remembers the cycle. A trail that goes on after a back-up has what the back-up knows, too.
    """
    ended = select(cycle.c.ended_at).where(cycle.c.ended_at.is_not(None)).order_by(cycle.c.started_at.desc())
    last_ended = connection.execute(ended.limit(1)).scalar()
    return last_ended is not None and written_at(last) < last_ended


def is_to_be_looked_at(state: State) -> bool:
    """Tell whether it was found out already that the state was restored, and what stands upstream is not known yet."""
    return bool(read_fact(state, UNSEEN))


def note_the_end(state: State, directory: Path) -> None:
    """Remember how far the state knows the trail, for its cycles are not kept for ever. Raises StateProblem."""
    with _readable(directory):
        record = last_record_of(directory)
    last = str(record["cycle_id"]) if record else ""
    if last and last not in {read_fact(state, KNOWN_END), read_fact(state, _SEEN_END)}:
        with state.write() as connection:
            # What is not known, and does not make the state an older one, is not looked through again.
            write_fact(connection, KNOWN_END if _is_known(connection, last) else _SEEN_END, last)


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
    after a change of the address what was made there is compared with what stands here like all of that. What the
    sources told until the back-up counts for nothing until they are read. Raises StateProblem.
    """
    with _readable(directory):
        later = _later(connection, directory, _has_ended)
        last = last_record_of(directory)
        own = later.after if later.after and _is_own(connection, str(later.after["cycle_id"])) else None
        noted, here = plain_address(fact_of(connection, NOTED_ADDRESS) or ""), plain_address(service.base)
        trail = _Trail(own, installation, noted, here)
        standing = what_stands(trail.about(later))
    write_fact(connection, _SEEN_END, str(last["cycle_id"]) if last else "")
    write_fact(connection, UNSEEN, "yes")
    write_fact(connection, ELSEWHERE, _about_elsewhere(trail.elsewhere))
    if own and trail.name != installation:
        write_fact(connection, _INSTALLATION, trail.name)
    made = only_of_today(connection, standing.made, here) if noted and noted != here else standing.made
    taken = take_up(connection, made, service.address_of, sources, newer=later.after is not None)
    if later.after is not None:  # else the trail may begin before the back-up
        take_names(connection, standing.names, noted or here)
        are_back(connection, standing.in_use, sources)
    forget_content(connection, sources)
    if taken:
        log.warning("taken up from the audit trail", made_since_the_backup=len(taken))


def _later(connection: Connection, directory: Path, knows: Callable[[Connection, str], bool]) -> LaterRecords:
    ends = {fact_of(connection, KNOWN_END), fact_of(connection, _SEEN_END)}
    return records_after(directory, lambda cycle_id: cycle_id in ends or knows(connection, cycle_id))


class _Trail:
    """The records of this installation among some, and what had to be left out of them.

    own:    the record of a cycle of this state that they follow
    noted:  the address under which the ledger knows what it holds

    After the records were gone through:

    name:       what the installation calls itself by now, so that this state and its later back-ups have one name
    elsewhere:  how many records are about which other address
    """

    def __init__(self, own: Record | None, installation: str, noted: str, here: str) -> None:
        self._own, self._installation = own, installation
        self._noted, self._here = noted, here
        self.name = installation
        self.elsewhere: Counter[str] = Counter()

    def about(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield what is about the upstream of today, or of the address that was noted, with that address."""
        for record in records:
            if not is_sound(record) or not self._is_ours(record):
                continue
            if isinstance(name := record.get("installation"), str) and name:
                self.name = name
            # Older versions did not write the address down.
            address = plain_address(str(record.get("upstream") or self._noted))
            # What was begun elsewhere has no id by which it could be told from a stranger's.
            if address == self._here or (self._noted and address == self._noted and record["scim_id"]):
                yield record | {"upstream": address}
            else:
                self.elsewhere[address] += 1

    def _is_ours(self, record: Record) -> bool:
        """Tell whether this installation has written a record.

        A trail that goes on from a cycle which the state knows is its own; older versions gave no names. If not even
        the record of that cycle bears the name of the state, the back-up was made by such a version, and got another
        name when it was brought up again.
        """
        if self._own is None:
            return bool(self._installation) and record.get("installation") == self._installation
        if self._own.get("installation") != self._installation:
            return True
        return (record.get("installation") or self._installation) == self._installation


def _about_elsewhere(addresses: Counter[str]) -> str:
    if not addresses:
        return ""
    number = "1 record" if addresses.total() == 1 else f"{addresses.total()} records"
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
