"""Which entries of several sources are one person, worked out again for whatever the marks reach.

A key that entries of two sources have makes one person of all that have it, and persons that share an entry are one.
Everywhere else a person is known by one of its entries, its leader: the one that has an account upstream, or else the
first in the order of agent/population/same_person.py. Groups have leaders as members, and only leaders are users.

An entry that is no longer of a person it had no account in is a person of its own, until the directories agree again:
an address is often changed in one of them first. Then whoever led it leads it again, though it has an account by now.

Two entries of one source in a person are a contradiction: nobody can tell which of them it is. Nothing is pushed for
such a person; but each of its entries that has an active account upstream stands for itself, so nothing is taken away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, case, delete, exists, false, func, insert, or_, select

from agent.directory.marks import mark
from agent.directory.unread import is_unread
from agent.population.persons import IS_PERSON, attributes_of
from agent.population.same_person import SamePerson
from agent.state.database import batched, upsert
from agent.state.tables import create_attempt, entry, former_leader, ledger_user, person_key, same_person
from agent.state.tables import mark as mark_table

_BATCH = 500
_SHOWN = 3  # as many entries and keys are named in a sentence
# What an entry has upstream; the leader is the first of these. _SECOND is an account that gave way to the leader's.
_ACTIVE, _INACTIVE, _SECOND, _BEGUN, _NOTHING = range(5)
_Row = Row[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class _Found:
    """Entries that keys hold together, and those keys."""

    entries: frozenset[int]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Led:
    """A row of same_person."""

    entry_id: int
    leader_id: int
    problem: str | None


def correlate(connection: Connection, rules: SamePerson) -> None:
    """Bring the persons up to date with everything that is marked, and mark whom that changes."""
    if not rules.by:
        # Whoever is in these tables is marked, like everybody, because the settings have changed.
        for table in (same_person, person_key):
            connection.execute(delete(table).where(table.c.entry_id.in_(select(mark_table.c.entry_id))))
        return
    marked = _marked(connection)
    touched = _no_longer_standing(connection)
    for some in batched(marked, _BATCH):
        touched |= _settle_keys(connection, rules, some)
    for some in batched(marked, _BATCH):
        touched |= _in_company(connection, some)
    settled: set[int] = set()
    for some in batched(sorted(touched), _BATCH):
        found = _around(connection, [number for number in some if number not in settled])
        settled |= {number for person in found for number in person.entries}
        _settle(connection, rules, found)


def _marked(connection: Connection) -> list[int]:
    """Return what is marked and a person, or was one."""
    had_keys = exists().where(person_key.c.entry_id == entry.c.id)
    marked = select(entry.c.id).where(entry.c.id.in_(select(mark_table.c.entry_id)), or_(IS_PERSON, had_keys))
    return sorted(connection.execute(marked).scalars())


def _no_longer_standing(connection: Connection) -> set[int]:
    """Return who stood for itself in spite of a contradiction, and has been deactivated since: a push marks nobody."""
    stood = select(same_person.c.entry_id).where(
        same_person.c.problem.is_not(None), same_person.c.leader_id == same_person.c.entry_id
    )
    inactive = select(ledger_user.c.entry_id).where(
        ledger_user.c.entry_id.in_(stood), ledger_user.c.active.is_(false())
    )
    return set(connection.execute(inactive).scalars())


def _settle_keys(connection: Connection, rules: SamePerson, numbers: Sequence[int]) -> set[int]:
    """Work out the keys of these entries. Returns who shares a key that one of them has lost."""
    held: dict[int, set[str]] = {}
    for row in connection.execute(select(person_key).where(person_key.c.entry_id.in_(numbers))):
        held.setdefault(row.entry_id, set()).add(row.key)
    changed: list[int] = []
    rows: list[dict[str, object]] = []
    lost: set[str] = set()
    for row in connection.execute(select(entry, IS_PERSON.label("is_person")).where(entry.c.id.in_(numbers))):
        if is_unread(row):
            continue  # whose keys are not known any more is who it was
        keys = rules.keys(attributes_of(row)) if row.is_person else frozenset[str]()
        before = held.get(row.id, set())
        if keys != before:
            changed.append(row.id)
            rows += [{"key": key, "entry_id": row.id, "source": row.source} for key in sorted(keys)]
            lost |= before - keys
    connection.execute(delete(person_key).where(person_key.c.entry_id.in_(changed)))
    if rows:
        connection.execute(insert(person_key), rows)
    return set(_holders(connection, lost))


def _in_company(connection: Connection, numbers: Sequence[int]) -> set[int]:
    """Return which of these entries were part of a larger person, or are."""
    were = select(same_person.c.entry_id).where(same_person.c.entry_id.in_(numbers))
    are = select(person_key.c.entry_id).where(
        person_key.c.entry_id.in_(numbers), person_key.c.key.in_(_binding(numbers))
    )
    return {*connection.execute(were).scalars(), *connection.execute(are).scalars()}


def _binding(numbers: Sequence[int]) -> Select[str]:
    """Select the keys of these entries that entries of another source have, too."""
    theirs = select(person_key.c.key).where(person_key.c.entry_id.in_(numbers))
    return (
        select(person_key.c.key)
        .where(person_key.c.key.in_(theirs))
        .group_by(person_key.c.key)
        .having(func.min(person_key.c.source) < func.max(person_key.c.source))
    )


def _holders(connection: Connection, keys: Collection[str]) -> dict[int, set[str]]:
    """Return who has any of these keys, and which."""
    holders: dict[int, set[str]] = {}
    for some in batched(sorted(keys), _BATCH):
        for row in connection.execute(select(person_key).where(person_key.c.key.in_(some))):
            holders.setdefault(row.entry_id, set()).add(row.key)
    return holders


def _around(connection: Connection, start: Sequence[int]) -> list[_Found]:
    """Follow the keys from these entries to everybody they lead to. One who is alone has no keys here."""
    keys_of: dict[int, set[str]] = {number: set() for number in start}
    followed: set[str] = set()
    frontier = set(start)
    while frontier:
        keys: set[str] = set()
        for some in batched(sorted(frontier), _BATCH):
            keys |= set(connection.execute(_binding(some)).scalars())
        holders = _holders(connection, keys - followed)
        followed |= keys
        frontier = holders.keys() - keys_of.keys()
        for number, some_keys in holders.items():
            keys_of.setdefault(number, set()).update(some_keys)
    return _held_together(keys_of)


def _held_together(keys_of: dict[int, set[str]]) -> list[_Found]:
    holders: dict[str, list[int]] = {}
    for number, keys in keys_of.items():
        for key in keys:
            holders.setdefault(key, []).append(number)
    found, placed = list[_Found](), set[int]()
    for first in keys_of:
        if first in placed:
            continue
        entries, keys, waiting = {first}, set[str](), [first]
        while waiting:
            for key in keys_of[waiting.pop()] - keys:
                keys.add(key)
                waiting += [number for number in holders[key] if number not in entries]
                entries.update(holders[key])
        placed |= entries
        found.append(_Found(frozenset(entries), frozenset(keys)))
    return found


def _settle(connection: Connection, rules: SamePerson, found: Sequence[_Found]) -> None:
    """Write down who leads whom, and mark whose leader is another now."""
    numbers = [number for person in found for number in person.entries]
    before = _led_by(connection, same_person, numbers)
    former = _led_by(connection, former_leader, numbers)
    rows: dict[int, _Row] = {}
    for some in batched(numbers, _BATCH):
        rows |= {row.id: row for row in connection.execute(_upstream(some))}
    now: list[_Led] = []
    alone: list[int] = []
    for person in found:
        if len(person.entries) == 1:
            alone += person.entries
        else:
            now += _led(rules, person, [rows[number] for number in person.entries], before, former)
    for some in batched(alone, _BATCH):
        connection.execute(delete(same_person).where(same_person.c.entry_id.in_(some)))
    upsert(connection, same_person, [asdict(led) for led in now])
    leaders = {number: number for number in alone} | {led.entry_id: led.leader_id for led in now}
    moved = [number for number, leader in leaders.items() if leader != before.get(number, number)]
    led_before = [number for number in moved if before.get(number, number) != number]
    upsert(connection, former_leader, [{"entry_id": number, "leader_id": before[number]} for number in led_before])
    mark(connection, sorted(moved), references_too=True)
    concerned = {*leaders.values(), *(before.get(number, number) for number in moved)}
    mark(connection, sorted(concerned), references_too=False)


def _led_by(connection: Connection, table: Table, numbers: Sequence[int]) -> dict[int, int]:
    leaders: dict[int, int] = {}
    for some in batched(numbers, _BATCH):
        known = select(table.c.entry_id, table.c.leader_id).where(table.c.entry_id.in_(some))
        leaders |= {row.entry_id: row.leader_id for row in connection.execute(known)}
    return leaders


def _upstream(numbers: Sequence[int]) -> Select[Any]:
    """Select these entries, and what each has upstream."""
    has = case(
        (ledger_user.c.active, _ACTIVE),
        (ledger_user.c.entry_id.is_not(None), _INACTIVE),
        # A create whose answer was lost may have made an account for this one.
        (create_attempt.c.entry_id.is_not(None), _BEGUN),
        else_=_NOTHING,
    )
    return (
        select(entry.c.id, entry.c.source, entry.c.kind, entry.c.dn, has.label("upstream"))
        .outerjoin(ledger_user, ledger_user.c.entry_id == entry.c.id)
        .outerjoin(create_attempt, create_attempt.c.entry_id == entry.c.id)
        .where(entry.c.id.in_(numbers))
    )


def _led(
    rules: SamePerson, person: _Found, rows: list[_Row], before: Mapping[int, int], former: Mapping[int, int]
) -> list[_Led]:
    """Say who leads the entries of a person. before: who led them until now; former: who did before that."""
    times = Counter(row.source for row in rows)
    twice = [row for row in rows if times[row.source] > 1]

    in_use = {row.id for row in rows if row.upstream == _ACTIVE}

    def has(row: _Row) -> int:
        if not twice and row.id in in_use and former.get(row.id) in in_use - {row.id}:
            return _SECOND
        second = row.upstream <= _INACTIVE and before.get(row.id, row.id) in person.entries - {row.id}
        return _SECOND if second and (row.upstream == _INACTIVE or not twice) else int(row.upstream)

    rows.sort(key=lambda row: (has(row), rules.order(row.source, row.kind, row.id)))
    problem = _problem(rules, person, rows, twice) if twice else None

    def leader(row: _Row) -> int:
        if twice and row.id in in_use:
            return int(row.id)
        # In a contradiction whoever was led by an account in use stays with it, and so do the memberships.
        former = before.get(row.id)
        return former if twice and former is not None and former in in_use else int(rows[0].id)

    return [_Led(row.id, leader(row), problem) for row in rows]


def _problem(rules: SamePerson, person: _Found, rows: Sequence[_Row], twice: Sequence[_Row]) -> str:
    keys = _listed(rules.described(key) for key in sorted(person.keys))
    sources = " and ".join(sorted({row.source for row in twice}))
    entries = _listed(f"{row.dn} (source {row.source})" for row in sorted(rows, key=lambda row: (row.dn, row.id)))
    return (
        f"{entries} are one person by [same_person] by ({keys}), and several of them are of source {sources}. "
        "None of them is pushed, and who stands upstream stays. Correct what they share in the directory, or name "
        "templates in [same_person] by that tell them apart."
    )


def _listed(items: Iterable[str]) -> str:
    texts = list(items)
    more = len(texts) - _SHOWN
    return " and ".join([*texts[:_SHOWN], *([f"{more} more"] if more > 0 else [])])
