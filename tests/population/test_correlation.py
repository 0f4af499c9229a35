"""Persons in several sources through hundreds of random changes: what is worked out step by step is what is there."""

from __future__ import annotations

import random
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, delete, event, func, select

from agent.directory.marks import mark_everything
from agent.directory.mirror import absorb
from agent.plan.difference import Difference
from agent.plan.leavers import NEVER
from agent.plan.locks import UNLOCKED
from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    Operation,
    Phase,
    RemoveMembers,
    UpdateUser,
)
from agent.plan.settled import settle_marks
from agent.plan.waiting import Retry
from agent.population.desired import Population, population_of, settle
from agent.population.persons import heirs_of_the_gone
from agent.settings import Settings
from agent.state.database import State, open_state
from agent.state.tables import (
    desired_group,
    desired_member,
    desired_user,
    entry,
    ledger_member,
    ledger_user,
    person_key,
    same_person,
)
from agent.upstream.accounts import pass_on
from agent.upstream.ledger import Ledger
from agent.upstream.ledger_rows import Origin
from connectors.base import (
    Completeness,
    Entry,
    EntryDeleted,
    EntryFound,
    EntryKind,
    Extent,
    MemberList,
    Name,
    NameKind,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)

SOURCES = ("corp", "partners", "third")
STEPS = 120


def population() -> Population:
    return population_of(
        Settings(
            sources=tuple({"name": name} for name in SOURCES),
            upstream={"url": "http://127.0.0.1"},
            scope={"groups": ("name:app-*",)},
            external={"managed_domains": ("example.com",)},
            # userNames are the entries' own, so that nobody is in conflict with anybody.
            mapping={"user_name": "{uid}", "user": {"title": "{title}"}},
            same_person={"by": ("{mail}", "{employeeNumber}")},
        )
    )


@dataclass
class Human:
    """What the test knows of one entry."""

    source: str
    uid: str
    attributes: dict[str, str]
    kind: EntryKind = EntryKind.USER
    active: bool = True
    there: bool = True

    @property
    def dn(self) -> str:
        return f"uid={self.uid},o={self.source}"

    def found(self) -> EntryFound:
        attributes = {"uid": (self.uid,)} | {key: (value,) for key, value in self.attributes.items()}
        names = frozenset({Name(NameKind.DN, self.dn)})
        return EntryFound(Entry(self.uid, self.kind, self.dn, names, attributes, active=self.active))


@dataclass
class World:
    """The directories as the test changes them, and the state that follows them."""

    state: State
    chance: random.Random
    humans: list[Human] = field(default_factory=list)
    groups: dict[str, set[str]] = field(default_factory=dict)
    population: Population = field(default_factory=population)

    def begin(self, people: int) -> None:
        for source in SOURCES:
            for number in range(people):
                self.humans.append(Human(source, f"{source}{number}", {}))
                self.disguise(self.humans[-1])
        self.groups = {f"app-{number}": self.some_dns() for number in range(4)}
        for source in SOURCES:
            events: list[ReadEvent] = [human.found() for human in self.humans if human.source == source]
            if source == SOURCES[0]:
                events += [self.group(name) for name in self.groups]
            self.take(source, Extent.FULL, *events)

    def disguise(self, human: Human) -> None:
        """Give somebody other attributes; few values, so that many meet."""
        choices = {
            "mail": [f"m{number}@example.com" for number in range(14)],
            "employeenumber": [str(number) for number in range(40)],
            "title": ["one", "two"],
        }
        human.attributes = {key: self.chance.choice(values) for key, values in choices.items()}
        for key in choices:
            if self.chance.random() < 0.5:
                del human.attributes[key]

    def some_dns(self) -> set[str]:
        return {human.dn for human in self.chance.sample(self.humans, 5)}

    def group(self, name: str) -> EntryFound:
        members = MemberList(frozenset(Name(NameKind.DN, dn) for dn in self.groups[name]), complete=True)
        own = frozenset({Name(NameKind.DN, f"cn={name},o=corp")})
        dn = f"cn={name},o=corp"
        return EntryFound(Entry(f"group {name}", EntryKind.GROUP, dn, own, {"cn": (name,)}, members=members))

    def take(self, source: str, extent: Extent, *events: ReadEvent) -> None:
        read = (ReadStarted(extent, "server"), *events, ReadEnded(Completeness.COMPLETE))
        outcome = absorb(self.state, source, read, "f")
        assert outcome.counts, outcome

    def change(self) -> str:
        """Change something at random, in the directory and in the mirror."""
        human = self.chance.choice(self.humans)
        what = self.chance.choice(["attributes", "attributes", "kind", "active", "there", "there", "group"])
        if what in {"kind", "there"} and human.uid.endswith("0"):
            what = "attributes"  # a source that shows no people any more is not believed
        match what:
            case "group":
                name = self.chance.choice(sorted(self.groups))
                self.groups[name] = self.some_dns()
                self.take(SOURCES[0], Extent.INCREMENTAL, self.group(name))
                return f"{name} has other members"
            case "attributes":
                self.disguise(human)
                human.there = True
            case "kind":
                human.kind = EntryKind.CONTACT if human.kind is EntryKind.USER else EntryKind.USER
            case "active":
                human.active = not human.active
            case _:
                human.there = not human.there
        event = human.found() if human.there else EntryDeleted(human.uid, "it was deleted")
        self.take(human.source, Extent.INCREMENTAL, event)
        return f"{what} of {human}"

    def settle(self) -> None:
        with self.state.write() as connection:
            for before, now in heirs_of_the_gone(connection, self.population.same_person):
                pass_on(connection, before, now)
            settle(connection, self.population)

    def push(self) -> None:
        """An upstream that accepts everything."""
        ledger, difference = Ledger(self.state), Difference(self.state, retry=Retry.AT_ONCE)
        for phase in Phase:
            for operation in list(difference.operations(phase)):
                acknowledge(ledger, operation)
        with self.state.write() as connection:
            settle_marks(connection, UNLOCKED, NEVER)

    # What the persons are, by comparing everybody with everybody.

    def persons(self) -> list[list[Human]]:
        persons = [[human] for human in self.humans if human.there]
        for human in [human for human in self.humans if human.there]:
            mine = [person for person in persons if any(human is one or same(human, one) for one in person)]
            persons = [person for person in persons if person not in mine] + [
                [one for person in mine for one in person]
            ]
        return persons

    def expected(self) -> dict[frozenset[str], tuple[object, ...]]:
        """Every person in a group: whether it can be told who is who, and if so its groups, title and activity."""
        expected: dict[frozenset[str], tuple[object, ...]] = {}
        for person in self.persons():
            uids = frozenset(human.uid for human in person)
            groups = {name for name, dns in self.groups.items() if dns & {human.dn for human in person}}
            if max(Counter(human.source for human in person).values()) > 1:
                expected[uids] = (False,)
            elif groups:
                by_rank = sorted(person, key=lambda one: (one.kind != EntryKind.USER, SOURCES.index(one.source)))
                titles = [title for one in by_rank if (title := one.attributes.get("title"))]
                expected[uids] = (True, groups, titles[0] if titles else None, by_rank[0].active)
        return {uids: what for uids, what in expected.items() if what != (False,)}

    def worked_out(self) -> dict[frozenset[str], tuple[object, ...]]:
        with self.state.read() as connection:
            people = connection.execute(
                select(entry.c.anchor, func.coalesce(same_person.c.leader_id, entry.c.id).label("leader"))
                .outerjoin(same_person, same_person.c.entry_id == entry.c.id)
                .where(entry.c.present, entry.c.kind != EntryKind.GROUP.value, same_person.c.problem.is_(None))
            ).all()
            users = {row.entry_id: row for row in connection.execute(select(desired_user))}
            listed = connection.execute(
                select(desired_member.c.user_id, desired_group.c.display_name).join(
                    desired_group, desired_group.c.entry_id == desired_member.c.group_id
                )
            ).all()
        found = {}
        for leader in {row.leader for row in people} & users.keys():
            payload = orjson.loads(users[leader].payload)
            groups = {row.display_name for row in listed if row.user_id == leader}
            uids = frozenset(row.anchor for row in people if row.leader == leader)
            found[uids] = (True, groups, payload.get("title"), payload["active"])
        return found


def same(one: Human, other: Human) -> bool:
    """Two entries of different sources with one value of either attribute."""
    keys = ("mail", "employeenumber")
    return one.source != other.source and any(
        one.attributes.get(key) == other.attributes.get(key) is not None for key in keys
    )


def acknowledge(ledger: Ledger, operation: Operation) -> None:
    match operation:
        case CreateUser():
            ledger.user_acknowledged(
                operation.subject,
                scim_id=uuid.uuid4().hex,
                user_name=str(operation.payload["userName"]),
                digest=operation.digest,
                active=True,
                origin=Origin.CREATED,
                address=operation.address,
            )
        case UpdateUser():
            ledger.user_updated(
                operation.subject,
                user_name=str(operation.payload["userName"]),
                digest=operation.digest,
                active=True,
                address=operation.address,
            )
        case CreateGroup():
            name = str(operation.payload["displayName"])
            ledger.groups.acknowledged(
                operation.subject, scim_id=name, display_name=name, digest=operation.digest, origin=Origin.CREATED
            )
        case AddMembers():
            ledger.groups.members_added(operation.subject, operation.members)
        case RemoveMembers():
            ledger.groups.members_removed(operation.subject, operation.members)
        case DeactivateUser():
            ledger.user_deactivated(operation.subject)


def snapshot(connection: Connection) -> dict[str, set[tuple[Any, ...]]]:
    tables = (desired_user, desired_group, desired_member, same_person, person_key)
    return {table.name: {tuple(row) for row in connection.execute(select(table))} for table in tables}


def afresh(state: State, rules: Population) -> dict[str, set[tuple[Any, ...]]]:
    """Work out everything anew, as a full reconciliation does, and take it back."""
    with state.write() as connection:
        attempt = connection.begin_nested()
        for table in (desired_user, desired_group, desired_member, person_key):
            connection.execute(delete(table))
        mark_everything(connection)
        settle(connection, rules)
        found = snapshot(connection)
        attempt.rollback()
    return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with closing(open_state(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(3))
def test_step_by_step_comes_to_the_same_as_all_at_once_and_as_comparing_everybody(state: State, seed: int) -> None:
    world = World(state, random.Random(seed))
    world.begin(people=8)
    several = ambiguous = 0
    for step in range(STEPS):
        what = world.change() if step else "the beginning"
        world.settle()

        with state.read() as connection:
            now = snapshot(connection)
        assert now == afresh(state, world.population), f"step {step}: {what}"
        assert world.worked_out() == world.expected(), f"step {step}: {what}"
        several += len({row[1] for row in now["same_person"] if row[2] is None})
        ambiguous += any(row[2] for row in now["same_person"])
        if world.chance.random() < 0.7:
            world.push()

    assert several > STEPS // 4
    assert ambiguous > STEPS // 10


def test_what_an_accepting_upstream_holds_is_every_person_once(state: State) -> None:
    world = World(state, random.Random(99))
    world.begin(people=8)
    for _ in range(STEPS // 3):
        world.change()
        world.settle()
        world.push()

    with state.read() as connection:
        wanted = {
            (row.group_id, row.user_id)
            for row in connection.execute(
                select(desired_member)
                .join(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
                .where(desired_user.c.problem.is_(None), desired_user.c.active)
            )
        }
        settled = select(desired_user.c.entry_id).where(desired_user.c.problem.is_not(None))
        held = {
            (row.group_id, row.user_id)
            for row in connection.execute(
                select(ledger_member)
                .join(ledger_user, ledger_user.c.entry_id == ledger_member.c.user_id)
                .where(ledger_user.c.active, ledger_member.c.user_id.not_in(settled))
            )
        }
    assert held == wanted
    assert len(held) > 3


def test_a_change_looks_through_nobody_whom_it_does_not_concern(state: State) -> None:
    world = World(state, random.Random(7))
    world.begin(people=40)
    world.settle()
    world.push()
    asked: dict[str, object] = {}
    with state.read() as reader:
        engine = reader.engine

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        asked[statement] = parameters

    for _ in range(30):
        world.change()
        event.listen(engine, "before_cursor_execute", note)
        world.settle()
        event.remove(engine, "before_cursor_execute", note)

    with engine.connect() as raw:
        steps = [
            (str(row[3]), statement)
            for statement, parameters in asked.items()
            if not isinstance(parameters, list)
            for row in raw.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    scans = [(step, statement) for step, statement in steps if re.match(r"SCAN (person_key|same_person)\b", step)]
    assert any("SEARCH person_key" in step for step, _ in steps)
    # Whether there is anybody with several entries is asked of the first row only.
    assert [scan for scan in scans if "ix_same_person_problem" not in scan[0] and "LIMIT" not in scan[1]] == []
