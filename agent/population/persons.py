"""Who stands for whom: what the rest of the agent asks about people who have several entries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from agent.population.same_person import PersonEntry, SamePerson, active_of
from agent.population.template import Attributes
from agent.state.database import batched
from agent.state.tables import entry, ledger_user, mark, person_key, same_person
from connectors.base import EntryKind

_BATCH = 500
_Row = Row[tuple[Any, ...]]
IS_PERSON = and_(entry.c.present, entry.c.kind != EntryKind.GROUP.value)


@dataclass(frozen=True, slots=True)
class Person:
    """What the entries of one person amount to."""

    attributes: Attributes
    active: bool
    problem: str | None


def leaders_of(connection: Connection, numbers: frozenset[int]) -> frozenset[int]:
    """Return who stands for these people."""
    if connection.execute(select(same_person.c.entry_id).limit(1)).first() is None:
        return numbers
    leaders = dict[int, int]()
    for some in batched(sorted(numbers), _BATCH):
        rows = select(same_person.c.entry_id, same_person.c.leader_id).where(same_person.c.entry_id.in_(some))
        leaders |= {row.entry_id: row.leader_id for row in connection.execute(rows)}
    return frozenset(leaders.get(number, number) for number in numbers)


def persons_led_by(connection: Connection, rules: SamePerson, numbers: Sequence[int]) -> dict[int, Person]:
    """Return, of these entries, the leaders of several, and what the person is."""
    rows = connection.execute(
        select(entry, same_person.c.leader_id, same_person.c.problem)
        .join(same_person, same_person.c.entry_id == entry.c.id)
        .where(same_person.c.leader_id.in_(numbers))
    ).all()
    problems = {row.leader_id: row.problem for row in rows}
    entries: dict[int, list[PersonEntry]] = {}
    for row in rows:
        # What is whose is not known of people who cannot be told apart: the leader is no more than its own entry.
        if row.problem is None or row.id == row.leader_id:
            found = PersonEntry(row.id, row.source, row.kind, row.active, attributes_of(row))
            entries.setdefault(row.leader_id, []).append(found)
    ordered = {leader: rules.sorted(some) for leader, some in entries.items()}
    # One who may be in use keeps all of them in use: which of them it is nobody can tell.
    in_use = {row.leader_id for row in rows if row.problem is not None and row.active}
    return {
        leader: Person(rules.merged(some), leader in in_use or active_of(some), problems[leader])
        for leader, some in ordered.items()
    }


def heirs_of_the_gone(connection: Connection, rules: SamePerson) -> list[tuple[int, int]]:
    """Return leaders with an account who are no persons any more, and who of those they led comes first.

    It goes by who was whose leader until now, so it is asked before the persons are worked out again. Of people who
    cannot be told apart nobody inherits; nor does one whose key was wrong and has been corrected meanwhile, for that
    is somebody else.
    """
    led = same_person.alias("led")
    gone = connection.execute(
        select(same_person.c.leader_id)
        .join(entry, entry.c.id == same_person.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == same_person.c.entry_id)
        .where(
            same_person.c.entry_id.in_(select(mark.c.entry_id)),
            same_person.c.entry_id == same_person.c.leader_id,
            same_person.c.problem.is_(None),
            ~IS_PERSON,
        )
    ).scalars()
    heirs: list[tuple[int, int]] = []
    for leader in gone.all():
        left = connection.execute(
            select(entry).join(led, led.c.entry_id == entry.c.id).where(led.c.leader_id == leader, IS_PERSON)
        ).all()
        if left := _still_of(connection, rules, leader, left):
            heirs.append((leader, min(left, key=lambda row: rules.order(row.source, row.kind, row.id)).id))
    return heirs


def _still_of(connection: Connection, rules: SamePerson, leader: int, left: Sequence[_Row]) -> list[_Row]:
    """Return whom the keys as they are now connect with those the leader had."""
    keys = set(connection.execute(select(person_key.c.key).where(person_key.c.entry_id == leader)).scalars())
    theirs = {row.id: rules.keys(attributes_of(row)) for row in left}
    found: set[int] = set()
    while new := {number for number, some in theirs.items() if number not in found and some & keys}:
        found |= new
        keys = keys.union(*(theirs[number] for number in new))
    return [row for row in left if row.id in found]


def attributes_of(row: _Row) -> Attributes:
    """Return the attributes of a row of the table entry."""
    return {key: tuple(values) for key, values in json.loads(row.attributes).items()}
