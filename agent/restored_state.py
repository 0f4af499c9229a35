"""A state that was restored from a back-up, and what it does not know.

The audit trail stands beside the state and is not restored with it. A cycle in the trail of which the state knows
nothing was after the back-up: whatever it made upstream is the agent's own, and nobody but the trail says so. Somebody
who came then and has left the directory by now would keep the account for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, insert, select

from agent.observe.audit_tail import last_cycle_of, records_after
from agent.plan.operations import Address, CreateGroup, CreateUser, DeleteGroup, DeleteUser
from agent.state.database import State
from agent.state.facts import read_fact, write_fact
from agent.state.tables import cycle, entry, former_account, ledger_group, ledger_user, source
from agent.upstream.ledger_rows import UNKNOWN, Origin, naming, now
from connectors.base import EntryKind

Record = dict[str, Any]

_TRAIL = "last cycle of the audit trail"
_UNSEEN = "restored, and what stands upstream not looked at"
_MADE = {CreateUser.verb: EntryKind.USER, CreateGroup.verb: EntryKind.GROUP}
_DELETED = {DeleteUser.verb, DeleteGroup.verb}
_CREATED = "created"  # the outcome of a create that found nothing there

log = structlog.get_logger()


def was_restored(state: State, directory: Path) -> bool:
    """Tell whether the audit trail in `directory` has a cycle of which the state knows nothing.

    Then the ledger does not hold what that cycle did, and everything has to be looked at upstream: in this cycle, or in
    a later one if the upstream is away.
    """
    if read_fact(state, _UNSEEN):
        return True
    last = last_cycle_of(directory)
    with state.read() as connection:
        older = last is not None and read_fact(state, _TRAIL) != last and not _is_known(connection, last)
    if older:
        log.warning("the state is older than the audit trail: everything is compared", last_cycle=last)
    return older


def note_the_trail(connection: Connection, directory: Path) -> None:
    """What stands upstream was looked at: remember the end of the trail, for what it says up to there is known now."""
    write_fact(connection, _TRAIL, last_cycle_of(directory) or "")
    write_fact(connection, _UNSEEN, "")


def take_up_what_was_made(
    connection: Connection, directory: Path, address_of: Callable[[str], Address], sources: AbstractSet[str]
) -> None:
    """Enter into the ledger the users and groups that the agent has made, or taken over, since the back-up.

    Who they are for is entered as the trail has it, as somebody of whom nothing else is known: the next complete read
    brings the rest, or tells that they are gone. Whether they still stand upstream is looked at like everything else.
    Nothing can be told of those whose source is not among `sources`, the configured ones, any more.
    """
    write_fact(connection, _UNSEEN, "yes")
    made: dict[str, Record] = {}
    for record in records_after(directory, lambda cycle_id: _has_ended(connection, cycle_id)):
        scim_id, verb = str(record.get("scim_id") or ""), record.get("verb")
        if record.get("result") != "done" or not scim_id:
            continue
        if verb in _MADE and record.get("anchor") and record.get("source") in sources:
            made[scim_id] = record
        elif verb in _DELETED:
            made.pop(scim_id, None)
    taken = sum(_take_up(connection, scim_id, record, address_of) for scim_id, record in made.items())
    if taken:
        log.warning("taken up from the audit trail", made_since_the_backup=taken)


def _take_up(connection: Connection, scim_id: str, record: Record, address_of: Callable[[str], Address]) -> bool:
    kind = _MADE[str(record["verb"])]
    ledger = ledger_group if kind is EntryKind.GROUP else ledger_user
    for table in (ledger, former_account):
        if connection.execute(select(table.c.scim_id).where(table.c.scim_id == scim_id)).first():
            return False
    number = _entry_of(connection, record, kind)
    if connection.execute(select(ledger.c.entry_id).where(ledger.c.entry_id == number)).first():
        return False
    label = str(record.get("label") or "")
    row = {
        "entry_id": number,
        "scim_id": scim_id,
        "digest": UNKNOWN,
        "origin": (Origin.CREATED if record.get("detail") == _CREATED else Origin.ADOPTED).value,
        "acknowledged_at": now(),
    }
    if kind is EntryKind.GROUP:
        row |= {"display_name": label, "in_doubt": True}
    else:
        row |= {"active": True, **naming(label, address_of(str(record.get("address") or "")))}
    connection.execute(insert(ledger).values(**row))
    return True


def _entry_of(connection: Connection, record: Record, kind: EntryKind) -> int:
    """Return the number of the entry that a record is about, entering it if need be."""
    of, anchor = record["source"], record["anchor"]
    known = select(entry.c.id).where(entry.c.source == of, entry.c.anchor == anchor)
    if (number := connection.execute(known).scalar()) is not None:
        return int(number)
    last_read = connection.execute(select(source.c.read_number).where(source.c.name == of)).scalar()
    row = {
        "source": of,
        "anchor": anchor,
        "kind": kind.value,
        "dn": str(record.get("dn") or ""),
        "active": True,
        "attributes": "{}",
        "members_complete": False,
        "digest": UNKNOWN,
        # It was there when it was made. Only a read that is complete and does not mention it proves the contrary.
        "present": True,
        "last_seen": last_read or 0,
    }
    return int(connection.execute(insert(entry).values(**row).returning(entry.c.id)).scalar_one())


def _is_known(connection: Connection, cycle_id: str) -> bool:
    return connection.execute(select(cycle.c.id).where(cycle.c.id == cycle_id)).first() is not None


def _has_ended(connection: Connection, cycle_id: str) -> bool:
    """Tell whether the state knows all that a cycle did: a back-up may have been made in the middle of one."""
    ended = select(cycle.c.id).where(cycle.c.id == cycle_id, cycle.c.ended_at.is_not(None))
    return connection.execute(ended).first() is not None
