"""One person as the state has it: entries, what is wanted, what stands upstream. The rest of the room asks this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, false, func, or_, select

from agent.directory.unread import is_unread
from agent.explanation.facts import EntrySeen
from agent.population.desired import Population
from agent.population.mapping import MappedUser
from agent.population.persons import Person, attributes_of, persons_led_by
from agent.population.same_person import PersonEntry
from agent.state.tables import (
    desired_group,
    desired_member,
    desired_user,
    entry,
    ledger_group,
    ledger_member,
    ledger_user,
    same_person,
    unreadable,
)

_Row = Row[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class PersonKnown:
    """Rows of the tables of their names, or None.

    entries:  all of this person, the one that leads first
    ordered:  those whose attributes count, in the order of [same_person]
    mapped:   what the mapping of today makes of them
    claimed:  an entry of another source that has the user name of the account, and may be the same person
    """

    leader: _Row
    entries: Sequence[_Row]
    ordered: Sequence[PersonEntry]
    person: Person
    mapped: MappedUser
    desired: _Row | None
    account: _Row | None
    claimed: str | None

    @property
    def numbers(self) -> frozenset[int]:
        """Of all entries."""
        return frozenset(row.id for row in self.entries)

    @property
    def label(self) -> str:
        """What to call the person: as the upstream does, or would, or else by the name of the entry."""
        if self.account is not None:
            return str(self.account.user_name)
        return self.mapped.user_name or str(self.leader.dn)


def person_known(reader: Connection, population: Population, number: int) -> PersonKnown:
    """Put together what is known of the person this entry leads."""
    led = or_(entry.c.id == number, entry.c.id.in_(_led_by(number)))
    rows = reader.execute(select(entry).where(led).order_by(entry.c.id)).all()
    leader = next(row for row in rows if row.id == number)
    person = persons_led_by(reader, population.same_person, [number]).get(number)
    person = person or Person(attributes_of(leader), leader.active, None)
    # Of people who cannot be told apart the leader is no more than its own entry (agent/population/persons.py).
    counted = [leader] if person.problem else rows
    found = [PersonEntry(row.id, row.source, row.kind, row.active, attributes_of(row)) for row in counted]
    mapped = population.mapping.user(leader.anchor, leader.dn, person.attributes, active=person.active)
    account = reader.execute(select(ledger_user).where(ledger_user.c.entry_id == number)).first()
    return PersonKnown(
        leader=leader,
        entries=[leader, *(row for row in rows if row.id != number)],
        ordered=population.same_person.sorted(found),
        person=person,
        mapped=mapped,
        desired=reader.execute(select(desired_user).where(desired_user.c.entry_id == number)).first(),
        account=account,
        claimed=None if account is None else _claim(reader, account.user_name_key, leader.source),
    )


def entries_seen(reader: Connection, known: PersonKnown) -> tuple[EntrySeen, ...]:
    """Describe the entries, and which of them cannot be understood by now."""
    return tuple(
        EntrySeen(
            dn=row.dn,
            source=row.source,
            kind=row.kind,
            anchor=row.anchor,
            active=row.active,
            leads=row.id == known.leader.id,
            gone=None if row.present else (row.gone_evidence or "it is not there any more"),
            unreadable=reader.execute(
                select(unreadable.c.reason).where(unreadable.c.source == row.source, unreadable.c.anchor == row.anchor)
            ).scalar(),
            unread=row.present and is_unread(row),
        )
        for row in known.entries
    )


def groups_of(reader: Connection, number: int) -> Sequence[_Row]:
    """Return the groups this person is in, by the directory or upstream, with what either says of the membership."""
    listed = and_(desired_member.c.group_id == entry.c.id, desired_member.c.user_id == number)
    held = and_(ledger_member.c.group_id == entry.c.id, ledger_member.c.user_id == number)
    concerned = or_(
        entry.c.id.in_(select(desired_member.c.group_id).where(desired_member.c.user_id == number)),
        entry.c.id.in_(select(ledger_member.c.group_id).where(ledger_member.c.user_id == number)),
    )
    return reader.execute(
        select(
            entry,
            desired_group.c.display_name,
            desired_group.c.problem,
            desired_group.c.members_complete.label("whole"),
            desired_group.c.entry_id.is_not(None).label("selected"),
            desired_member.c.group_id.is_not(None).label("listed"),
            desired_member.c.provisioned,
            desired_member.c.withdrawn,
            ledger_group.c.display_name.label("held_name"),
            ledger_group.c.scim_id.label("group_scim_id"),
            ledger_group.c.in_doubt,
            func.coalesce(ledger_group.c.guarded, false()).label("guarded"),
            ledger_member.c.group_id.is_not(None).label("upstream"),
        )
        .outerjoin(desired_group, desired_group.c.entry_id == entry.c.id)
        .outerjoin(desired_member, listed)
        .outerjoin(ledger_group, ledger_group.c.entry_id == entry.c.id)
        .outerjoin(ledger_member, held)
        .where(concerned)
        .order_by(entry.c.id)
    ).all()


def label_of(group: _Row) -> str:
    """Return what a row of `groups_of` is called."""
    return str(group.display_name or group.held_name or group.dn)


def dns_of(known: PersonKnown) -> Mapping[int, str]:
    """Return the names of the entries that are there: of who is gone no list counts."""
    return {row.id: row.dn for row in known.entries if row.present}


def _claim(reader: Connection, user_name_key: str, source: str) -> str | None:
    """Return who keeps an account from being taken away, as `claimed` in agent/plan/conditions.py does."""
    claim = (
        select(entry.c.dn, entry.c.source)
        .join(desired_user, desired_user.c.entry_id == entry.c.id)
        .where(
            desired_user.c.user_name_key == user_name_key,
            entry.c.source != source,
            desired_user.c.active,
            desired_user.c.provisioned,
        )
        .order_by(entry.c.id)
    )
    row = reader.execute(claim.limit(1)).first()
    return None if row is None else f"{row.dn} (source {row.source})"


def _led_by(number: int) -> Any:  # noqa: ANN401 - a query of SQLAlchemy
    return select(same_person.c.entry_id).where(same_person.c.leader_id == number)
