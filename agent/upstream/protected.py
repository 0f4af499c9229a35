"""Who is protected by [guard] protected, and stays so under whatever name.

A line of the settings names somebody by what they are called, and people are renamed and move to other units. So what
counts is that a line has named an entry once, which is on record from the first time the entry was wanted upstream: an
account that is made afterwards, or made again, is protected from the beginning. The record ends with the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import ColumnElement, Connection, Row, Table, delete, exists, select, true, update

from agent.population.protection import Protection
from agent.state.database import batched, upsert
from agent.state.tables import (
    desired_group,
    desired_user,
    entry,
    guarded_entry,
    ledger_group,
    ledger_user,
    mark,
    same_person,
)
from connectors.distinguished_name import normalise

_BATCH = 500
_LEDGERS = (ledger_user, ledger_group)


def note_guarded(connection: Connection, protection: Protection, *, everybody: bool) -> None:
    """Put on record whom the lines name now, of all who are wanted or stand upstream, or of those that are marked.

    The name in the directory counts, of every entry of a person, also the last one of an entry that is gone, and the
    names upstream. With `everybody` also what ends with a line is ended.
    """
    named = set(_named(connection, protection, everybody=everybody))
    _record(connection, named)
    if everybody:
        _record(connection, _of_an_older_state(connection, protection))
        _forget_all_but(connection, set(protection.lines))
        for table in _LEDGERS:
            unnamed = table.c.guarded, table.c.entry_id.not_in(select(guarded_entry.c.entry_id))
            connection.execute(update(table).where(*unnamed).values(guarded=False))
    for some in batched(sorted({number for number, _ in named}), _BATCH):
        for table in _LEDGERS:
            connection.execute(update(table).where(table.c.entry_id.in_(some)).values(guarded=True))


def keep_guarded(connection: Connection, entry_id: int) -> None:
    """What has just come to stand upstream for an entry is protected if a line has named the entry."""
    on_record = exists().where(guarded_entry.c.entry_id == entry_id)
    for table in _LEDGERS:
        connection.execute(update(table).where(table.c.entry_id == entry_id, on_record).values(guarded=True))


def pass_protection_on(connection: Connection, before: int, now: int) -> None:
    """Whoever takes over what stands upstream takes over the protection with it."""
    lines = connection.execute(select(guarded_entry.c.line).where(guarded_entry.c.entry_id == before)).scalars()
    _record(connection, [(now, line) for line in lines])
    keep_guarded(connection, now)


def _named(connection: Connection, protection: Protection, *, everybody: bool) -> Iterator[tuple[int, str]]:
    if protection.empty:
        return
    users = _called(connection, ledger_user, ("user_name", "email"), everybody=everybody)
    users += _called(connection, desired_user, ("user_name", "email"), everybody=everybody)
    others = _other_names(connection) if users else {}
    for row in users:
        for dn in (row.dn, *others.get(row.entry_id, ())):
            yield from ((row.entry_id, line) for line in protection.of_user(normalise(dn), row.user_name, row.email))
    for table in (ledger_group, desired_group):
        for row in _called(connection, table, ("display_name",), everybody=everybody):
            yield from ((row.entry_id, line) for line in protection.of_group(normalise(row.dn), row.display_name))


def _called(
    connection: Connection, table: Table, names: tuple[str, ...], *, everybody: bool
) -> list[Row[tuple[object, ...]]]:
    called = select(table.c.entry_id, entry.c.dn, *(table.c[name] for name in names))
    of_marked: ColumnElement[bool] = table.c.entry_id.in_(select(mark.c.entry_id))
    rows = called.join(entry, entry.c.id == table.c.entry_id).where(true() if everybody else of_marked)
    return list(connection.execute(rows))


def _other_names(connection: Connection) -> dict[int, list[str]]:
    """Return the DNs of the entries that others lead, by the leader's number."""
    names: dict[int, list[str]] = {}
    rows = connection.execute(
        select(same_person.c.leader_id, entry.c.dn)
        .join(entry, entry.c.id == same_person.c.entry_id)
        .where(same_person.c.leader_id != same_person.c.entry_id)
    )
    for row in rows:
        names.setdefault(row.leader_id, []).append(row.dn)
    return names


def _of_an_older_state(connection: Connection, protection: Protection) -> Iterator[tuple[int, str]]:
    """Older versions did not keep the line by which somebody is protected: it may be any of them."""
    for table in _LEDGERS:
        unexplained = table.c.guarded, table.c.entry_id.not_in(select(guarded_entry.c.entry_id))
        for number in connection.execute(select(table.c.entry_id).where(*unexplained)).scalars():
            yield from ((number, line) for line in protection.lines)


def _record(connection: Connection, named: Iterable[tuple[int, str]]) -> None:
    rows = [{"entry_id": number, "line": line} for number, line in sorted(named)]
    for some in batched(rows, _BATCH):
        upsert(connection, guarded_entry, some)


def _forget_all_but(connection: Connection, lines: set[str]) -> None:
    written = connection.execute(select(guarded_entry.c.line).distinct()).scalars()
    for line in set(written) - lines:
        connection.execute(delete(guarded_entry).where(guarded_entry.c.line == line))
