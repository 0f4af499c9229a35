"""What the agent has made upstream since the back-up that a state was restored from, as the audit trail has it.

Who that is for is entered as the trail has it, as somebody of whom nothing else is known: the next complete read brings
the rest, or tells that they are gone. Whether it still stands upstream is looked at like everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from sqlalchemy import Column, Connection, Table, delete, insert, select, update

from agent.directory.forgotten import enter_unread
from agent.made_since import IN_USE, MADE, Key, Record, written_at
from agent.plan.operations import Address
from agent.state.database import upsert
from agent.state.tables import (
    create_attempt,
    entry,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)
from agent.upstream.accounts import forget_account, pass_on, take_the_place
from agent.upstream.ledger_rows import UNKNOWN, Origin, naming, now
from connectors.base import EntryKind

_CREATED = "created"  # the outcome of a create that found nothing there


def only_of_today(connection: Connection, made: list[Record], here: str) -> list[Record]:
    """After a change of the address: return the records whose ids do not stand for somebody else at this one.

    What the ledger has under such an id it has let go of by then, for it is of the address before. Ids of which no
    record of this address tells are compared with what stands here by the push (agent/upstream/recognition.py).
    """
    today = {
        (MADE[record["verb"]], record["scim_id"]): record
        for record in made
        if record["upstream"] == here and record["scim_id"]
    }
    for (kind, scim_id), record in today.items():
        table = ledger_user if kind is EntryKind.USER else ledger_group
        member = ledger_member.c.user_id if kind is EntryKind.USER else ledger_member.c.group_id
        of_entry = entry.c.source == record["source"], entry.c.anchor == record["anchor"]
        owner = connection.execute(select(entry.c.id).where(*of_entry)).scalar()
        for number in connection.execute(select(table.c.entry_id).where(table.c.scim_id == scim_id)).scalars().all():
            if number != owner:
                for column in (member, table.c.entry_id):
                    connection.execute(delete(column.table).where(column == number))
        aside = select(former_account.c.entry_id).where(former_account.c.scim_id == scim_id)
        if kind is EntryKind.USER and connection.execute(aside).scalar() not in {None, owner}:
            forget_account(connection, scim_id)
    return [
        record
        for record in made
        if record["upstream"] == here or (MADE[record["verb"]], record["scim_id"]) not in today
    ]


def take_up(
    connection: Connection,
    made: list[Record],
    address_of: Callable[[str], Address],
    sources: Collection[str],
    *,
    newer: bool,
) -> list[int]:
    """Enter what stands into the ledger. Returns the entries of that of which the ledger did not know.

    Of several accounts of one entry the last one that was made is the person's; those before it were set aside. Of
    several groups, those before it were deleted by somebody else.

    sources: those that are configured
    newer:   all of it was made after whatever the ledger knows; else the time tells what was made before an entry got
             the account that the ledger has, and that is left as it is
    """
    last = {_entry_key(record): record["scim_id"] for record in made if record["scim_id"]}
    users = [record for record in made if MADE[record["verb"]] is EntryKind.USER]
    groups = [record for record in made if MADE[record["verb"]] is EntryKind.GROUP]
    # Whom the ledger has at somebody else's comes last: that one may have got another account meanwhile.
    groups = [record for record in groups if record["scim_id"] in {"", last.get(_entry_key(record))}]
    if not newer:
        users = [record for record in users if not _is_old(connection, record, ledger_user)]
        groups = [record for record in groups if not _is_old(connection, record, ledger_group)]
    users.sort(key=lambda record: _is_held(connection, record["scim_id"]))
    taken = [_take_up_group(connection, record, sources, newer=newer) for record in groups]
    for record in users:
        is_last = last.get(_entry_key(record)) == record["scim_id"]
        taken.append(_take_up_user(connection, record, address_of, sources, is_last=is_last, newer=newer))
    return [number for number in taken if number is not None]


def take_names(connection: Connection, names: Mapping[tuple[str, str], str], here: str) -> None:
    """Call the groups of this address by the names they have got since: another may have the one they had."""
    for (of, scim_id), name in names.items():
        if of == here:
            values = {"display_name": name, "digest": UNKNOWN}
            connection.execute(update(ledger_group).where(ledger_group.c.scim_id == scim_id).values(**values))


def are_back(connection: Connection, records: Iterable[Record], sources: Collection[str]) -> None:
    """Let those be there for whom something was done since, though the back-up has them gone."""
    for record in records:
        kind = IN_USE[record["verb"]]
        enter_unread(connection, record["source"], record["anchor"], kind, record["dn"], sources)


def _entry_key(record: Record) -> Key:
    return MADE[record["verb"]], record["source"], record["anchor"]


def _is_held(connection: Connection, scim_id: str | None) -> bool:
    held = select(ledger_user.c.scim_id).where(ledger_user.c.scim_id == scim_id)
    return connection.execute(held).first() is not None


def _is_old(connection: Connection, record: Record, table: Table) -> bool:
    """Tell whether a record was written before the upstream acknowledged what its entry has."""
    of_entry = entry.c.source == record["source"], entry.c.anchor == record["anchor"]
    held = select(table.c.acknowledged_at).join(entry, entry.c.id == table.c.entry_id).where(*of_entry)
    acknowledged = connection.execute(held).scalar()
    return acknowledged is not None and not written_at(record) > acknowledged


def _take_up_user(
    connection: Connection,
    record: Record,
    address_of: Callable[[str], Address],
    sources: Collection[str],
    *,
    is_last: bool,
    newer: bool,
) -> int | None:
    scim_id = record["scim_id"]
    if not scim_id:
        return _look_for_it(connection, record, sources)
    set_aside = select(former_account.c.scim_id).where(former_account.c.scim_id == scim_id)
    if not is_last and connection.execute(set_aside).first():
        return None
    if (owner := _owner_of(connection, ledger_user.c.scim_id, scim_id)) is not None:
        if is_last and newer:
            _hand_over(connection, record, owner, sources)
        return None
    number = _entry_of(connection, record, sources)
    address = address_of(str(record.get("address") or ""))
    if not is_last:
        row = {
            "scim_id": scim_id,
            "entry_id": number,
            "user_name": record["label"],
            "domain": address.domain,
            "external": address.external,
            "protected": address.protected,
            "replaced_at": now(),
        }
        connection.execute(insert(former_account).values(**row))
        return number
    take_the_place(connection, number, scim_id)
    row = _row(record, number) | {"active": True, **naming(record["label"], address)}
    connection.execute(insert(ledger_user).values(**row))
    return number


def _take_up_group(connection: Connection, record: Record, sources: Collection[str], *, newer: bool) -> int | None:
    if not record["scim_id"]:
        return _look_for_it(connection, record, sources)
    if (owner := _owner_of(connection, ledger_group.c.scim_id, record["scim_id"])) is not None:
        if newer:
            _hand_over(connection, record, owner, sources)
        return None
    number = _entry_of(connection, record, sources)
    # Who is in it is read upstream.
    for column in (ledger_member.c.group_id, former_member.c.group_id, ledger_group.c.entry_id):
        connection.execute(delete(column.table).where(column == number))
    row = _row(record, number) | {"display_name": record["label"], "in_doubt": True}
    connection.execute(insert(ledger_group).values(**row))
    return number


def _owner_of(connection: Connection, column: Column[str], scim_id: str) -> int | None:
    found = connection.execute(select(column.table.c.entry_id).where(column == scim_id)).scalar()
    return None if found is None else int(found)


def _hand_over(connection: Connection, record: Record, owner: int, sources: Collection[str]) -> None:
    """What the ledger has as one entry's was taken over by another since."""
    if (number := _entry_of(connection, record, sources)) != owner:
        pass_on(connection, owner, number)


def _look_for_it(connection: Connection, record: Record, sources: Collection[str]) -> int:
    """What is not known to be there is looked for like every create whose answer was lost."""
    number = _entry_of(connection, record, sources)
    upsert(connection, create_attempt, [{"entry_id": number, "started_at": now(), "name": record["label"]}])
    return number


def _row(record: Record, number: int) -> Record:
    return {
        "entry_id": number,
        "scim_id": record["scim_id"],
        "digest": UNKNOWN,
        "origin": (Origin.CREATED if record.get("detail") == _CREATED else Origin.ADOPTED).value,
        "acknowledged_at": now(),
    }


def _entry_of(connection: Connection, record: Record, configured: Collection[str]) -> int:
    kind = MADE[record["verb"]]
    return enter_unread(connection, record["source"], record["anchor"], kind, record["dn"], configured)
