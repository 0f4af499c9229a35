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
from agent.state.database import State, upsert
from agent.state.facts import read_fact, write_fact
from agent.state.tables import create_attempt, cycle, entry, former_account, ledger_group, ledger_user, source
from agent.upstream.accounts import take_the_place
from agent.upstream.ledger_rows import UNKNOWN, Origin, naming, now
from agent.upstream.service import Service
from connectors.base import EntryKind

Record = dict[str, Any]

_TRAIL = "last cycle of the audit trail"
_INSTALLATION = "name of this installation"
UNSEEN = "restored, and what stands upstream not looked at"
_MADE = {CreateUser.verb: EntryKind.USER, CreateGroup.verb: EntryKind.GROUP}
_DELETED = {DeleteUser.verb, DeleteGroup.verb}
_CREATED = "created"  # the outcome of a create that found nothing there

log = structlog.get_logger()


def installation_of(state: State) -> str:
    """Return the name that this state gives to itself when it is made, and that every record of the trail bears.

    A back-up has it, too. A state that was lost and made anew has another one, and so has that of another connection.
    """
    return read_fact(state, _INSTALLATION) or ""


def was_restored(state: State, directory: Path) -> bool:
    """Tell whether the audit trail in `directory` ends with a cycle of which the state knows nothing.

    Then the ledger does not hold what that cycle did, and everything has to be looked at upstream: in this cycle, or in
    a later one if the upstream does not say what stands there.
    """
    if is_to_be_looked_at(state):
        return True
    last = last_cycle_of(directory)
    with state.read() as connection:
        older = last is not None and read_fact(state, _TRAIL) != last and not _is_known(connection, last)
    if older:
        log.warning("the state is older than the audit trail: everything is compared", last_cycle=last)
    return older


def is_to_be_looked_at(state: State) -> bool:
    """Tell whether it was found out already that the state was restored, and what stands upstream is not known yet."""
    return bool(read_fact(state, UNSEEN))


def note_the_trail(connection: Connection, directory: Path) -> None:
    """What stands upstream was looked at: remember the end of the trail, for what it says up to there is known now."""
    write_fact(connection, _TRAIL, last_cycle_of(directory) or "")
    write_fact(connection, UNSEEN, "")


def take_up_what_was_made(
    connection: Connection, directory: Path, service: Service, sources: AbstractSet[str], installation: str
) -> None:
    """Enter into the ledger the users and groups that the agent has made, or taken over, since the back-up.

    Who they are for is entered as the trail has it, as somebody of whom nothing else is known: the next complete read
    brings the rest, or tells that they are gone. Whether they still stand upstream is looked at like everything else.
    What counts are the records of this installation about this upstream alone: the ids of another service, or of
    another connection, name strangers here. Nothing can be told of whose source is not among `sources` any more.
    """
    write_fact(connection, UNSEEN, "yes")
    made: dict[str, Record] = {}
    for record in records_after(directory, lambda cycle_id: _has_ended(connection, cycle_id)):
        ours = record.get("installation") == installation != "" and record.get("upstream") == service.base
        if not ours or not _is_sound(record) or record["source"] not in sources:
            continue
        scim_id, verb, done = record["scim_id"] or "", record["verb"], record.get("result") == "done"
        if verb in _DELETED and done:
            made.pop(scim_id, None)
        elif verb in _MADE and (done or not scim_id):
            # Of an interrupted create nobody knows the id: the anchor stands for it.
            made.pop(record["anchor"], None)
            made[scim_id or record["anchor"]] = record
        elif scim_id in made and done:
            # It may bear another name by now.
            made[scim_id] = made[scim_id] | {key: record.get(key) for key in ("label", "address", "dn")}
    taken = sum(_take_up(connection, record, service.address_of) for record in made.values())
    if taken:
        log.warning("taken up from the audit trail", made_since_the_backup=taken)


def _is_sound(record: Record) -> bool:
    """Tell whether a record is of the form that the agent writes."""
    return all(isinstance(record.get(key), str) for key in ("verb", "source", "anchor", "label", "dn")) and isinstance(
        record.get("scim_id"), str | None
    )


def _take_up(connection: Connection, record: Record, address_of: Callable[[str], Address]) -> bool:
    kind, scim_id = _MADE[record["verb"]], record["scim_id"]
    ledger = ledger_group if kind is EntryKind.GROUP else ledger_user
    for table in (ledger, former_account):
        if connection.execute(select(table.c.scim_id).where(table.c.scim_id == scim_id)).first():
            return False
    number = _entry_of(connection, record, kind)
    if not scim_id:
        # It is looked for like every create whose answer was lost.
        row = {"entry_id": number, "started_at": now(), "name": record["label"]}
        upsert(connection, create_attempt, [row])
        return True
    row = {
        "entry_id": number,
        "scim_id": scim_id,
        "digest": UNKNOWN,
        "origin": (Origin.CREATED if record.get("detail") == _CREATED else Origin.ADOPTED).value,
        "acknowledged_at": now(),
    }
    if kind is EntryKind.GROUP:
        if connection.execute(select(ledger.c.entry_id).where(ledger.c.entry_id == number)).first():
            return False
        row |= {"display_name": record["label"], "in_doubt": True}
    else:
        # The last account is the person's; those before it were set aside.
        take_the_place(connection, number, scim_id)
        row |= {"active": True, **naming(record["label"], address_of(str(record.get("address") or "")))}
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
        "dn": record["dn"],
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
