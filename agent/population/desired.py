"""The desired state: what should stand upstream, worked out again for whatever the marks reach.

The three tables of this room (desired_user, desired_group, desired_member) always agree with the mirror, the scope,
the policy and the mapping once `settle` is done. Comparing them with the ledger is the plan's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, insert, or_, select
from sqlalchemy import exists as sql_exists

from agent.directory.marks import mark
from agent.directory.resolution import flatten, groups_reached_by_marks
from agent.directory.second_hand import CATALOGUE
from agent.directory.unread import NOT_READ, is_unread
from agent.domain_names import address_key
from agent.population.conflicts import settle_group_conflicts, settle_user_conflicts
from agent.population.correlation import correlate
from agent.population.keys_due import has_accounts, waits_for
from agent.population.mapping import MappedUser, Mapping, digest_of, mapping_of
from agent.population.opt_in import Gate, gate_of, mark_after_decision, note_policy
from agent.population.persons import Person, attributes_of, leaders_of, persons_led_by
from agent.population.policy import DomainPolicy, Standing, policy_of, strictest
from agent.population.same_person import SamePerson, same_person_of
from agent.population.scope import Scope, scope_of
from agent.population.treatment import PROVISIONED, Treatment, treat
from agent.settings import Policy, Settings
from agent.state.database import batched, upsert
from agent.state.tables import desired_group, desired_member, desired_user, entry, ledger_group
from agent.state.tables import mark as mark_table
from connectors.base import EntryKind
from connectors.distinguished_name import normalise

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Population:
    """The rules of one connection: who is in, who is external, and how they look upstream."""

    scope: Scope
    policy: DomainPolicy
    mapping: Mapping
    same_person: SamePerson

    @property
    def attributes(self) -> frozenset[str]:
        """The attribute types the sources have to be asked for."""
        return self.mapping.attributes | self.same_person.attributes


def population_of(settings: Settings) -> Population:
    """Read the rules from the settings. Raises UsageProblem."""
    mapping = mapping_of(settings.mapping)
    sources = [str(source.get("name")) for source in settings.sources]
    same_person = same_person_of(settings.same_person, sources, mapping.attributes)
    return Population(scope_of(settings.scope), policy_of(settings.external), mapping, same_person)


def settle(connection: Connection, population: Population, awaited: Sequence[str] = ()) -> None:
    """Bring the desired state up to date with everything that is marked.

    awaited: sources that have to be read before anybody gets an account
    """
    correlate(connection, population.same_person)
    gate = gate_of(connection, population.policy)
    mark_after_decision(connection, gate)
    # An entry may have become a person that was a group, and the other way round.
    marked = select(mark_table.c.entry_id)
    were_groups = select(desired_group.c.entry_id).where(desired_group.c.entry_id.in_(marked))
    were_users = select(desired_user.c.entry_id).where(desired_user.c.entry_id.in_(marked))
    reached = {*groups_reached_by_marks(connection), *connection.execute(were_groups).scalars()}
    for group_id in sorted(reached):
        _settle_group(connection, population, group_id)
    marked_users = (
        select(mark_table.c.entry_id)
        .join(entry, entry.c.id == mark_table.c.entry_id)
        .where(or_(entry.c.kind != EntryKind.GROUP.value, entry.c.id.in_(were_users)))
        .order_by(mark_table.c.entry_id)
    )
    touched: set[str] = set()
    for some in batched(connection.execute(marked_users).scalars().all(), _BATCH):
        touched |= _settle_users(connection, population, gate, some, awaited)
    settle_user_conflicts(connection, touched)
    note_policy(connection, population.policy)


def unmatched_groups(connection: Connection, population: Population) -> list[tuple[str, str]]:
    """Return the lines of the settings that name groups and no selected group answers to, with their setting."""
    rows = connection.execute(
        select(entry.c.dn, desired_group.c.display_name).join(entry, entry.c.id == desired_group.c.entry_id)
    )
    groups = [(normalise(row.dn), row.display_name) for row in rows]
    missing = [("[scope] groups", written) for written in population.scope.selection.unmatched(groups)]
    for selection, _ in population.policy.groups:
        missing += [("[external] groups", written) for written in selection.unmatched(groups)]
    return missing


def _settle_group(connection: Connection, population: Population, group_id: int) -> None:
    row = connection.execute(select(entry).where(entry.c.id == group_id)).one()
    name, payload = population.mapping.group(row.anchor, attributes_of(row))
    if is_unread(row):
        name = _name_upstream(connection, group_id)
        payload = payload | {"displayName": name}
    before = connection.execute(
        select(desired_group.c.display_name_key, desired_group.c.rule).where(desired_group.c.entry_id == group_id)
    ).first()
    held = None if before is None else before.display_name_key
    is_there = row.kind == EntryKind.GROUP.value and row.present
    # A name that is missing is no proof that the group left the scope.
    unknown = (not name and held is not None) or (is_unread(row) and bool(name))
    selected = is_there and (unknown or population.scope.selection.selects(normalise(row.dn), name))
    if not selected:
        if held is not None:
            _set_members(connection, group_id, frozenset())
            connection.execute(delete(desired_group).where(desired_group.c.entry_id == group_id))
            mark(connection, [group_id], references_too=False)
            settle_group_conflicts(connection, {held})
        return
    flat = flatten(connection, group_id, nested=population.scope.nested)
    rule = population.policy.rule_for_group(normalise(row.dn), name)
    if unknown and before is not None and before.rule is not None:
        rule = strictest([rule, Policy(before.rule)])  # a name that is missing lifts no rule
    problem = _not_read(row) if is_unread(row) else None
    if not name and problem is None:
        problem = (
            f"{row.dn} has no name: {population.mapping.group_name.text} is empty. Enter one in the directory, or "
            "name another attribute in [mapping] group_name."
        )
    upsert(
        connection,
        desired_group,
        [
            {
                "entry_id": group_id,
                "display_name": name,
                "display_name_key": name.casefold(),
                "payload": orjson.dumps(payload).decode(),
                "digest": digest_of(payload),
                "members_complete": flat.complete,
                "whole": flat.whole,
                "unresolved": flat.unresolved,
                "problem": problem,
                "rule": rule,
            }
        ],
    )
    members = leaders_of(connection, flat.members)
    _set_members(connection, group_id, members)
    if before is not None and before.rule != rule:
        mark(connection, sorted(members), references_too=False)
    mark(connection, [group_id], references_too=False)
    settle_group_conflicts(connection, {key for key in (held, name.casefold()) if key})


def _name_upstream(connection: Connection, group_id: int) -> str:
    """Return what a group is called upstream; an empty text if it does not stand there."""
    held = select(ledger_group.c.display_name).where(ledger_group.c.entry_id == group_id)
    return str(connection.execute(held).scalar() or "")


def _set_members(connection: Connection, group_id: int, members: frozenset[int]) -> None:
    held = set(
        connection.execute(select(desired_member.c.user_id).where(desired_member.c.group_id == group_id)).scalars()
    )
    joined, left = members - held, held - members
    if joined:
        connection.execute(
            insert(desired_member), [{"group_id": group_id, "user_id": number} for number in sorted(joined)]
        )
    for some in batched(sorted(left), _BATCH):
        connection.execute(
            delete(desired_member).where(desired_member.c.group_id == group_id, desired_member.c.user_id.in_(some))
        )
    mark(connection, sorted(joined | left), references_too=False)


def _settle_users(
    connection: Connection, population: Population, gate: Gate, numbers: Sequence[int], awaited: Sequence[str]
) -> set[str]:
    in_scope = sql_exists().where(desired_member.c.user_id == entry.c.id).label("in_scope")
    rows = connection.execute(select(entry, in_scope).where(entry.c.id.in_(numbers))).all()
    held = {
        row.entry_id: row
        for row in connection.execute(select(desired_user).where(desired_user.c.entry_id.in_(numbers)))
    }
    people = [row for row in rows if row.present and row.in_scope and row.kind != EntryKind.GROUP.value]
    led = persons_led_by(connection, population.same_person, numbers)
    persons = {row.id: led.get(row.id) or Person(attributes_of(row), row.active, None) for row in people}
    mapped = {row.id: _mapped(population, row, persons[row.id]) for row in people}
    if awaited:
        waiting = mapped.keys() - has_accounts(connection, numbers)
        dns = {row.id: row.dn for row in people}
        mapped |= {number: replace(mapped[number], problem=waits_for(dns[number], awaited)) for number in waiting}
    standings = {number: population.policy.standing(user.email) for number, user in mapped.items()}
    sure = {number: standing for number, standing in standings.items() if mapped[number].problem is None}
    treatments = treat(connection, population.policy, gate, sure, [row.id for row in people])
    wanted = [
        _desired(
            row.id,
            mapped[row.id],
            standings[row.id],
            treatments.get(row.id, PROVISIONED),
            active=persons[row.id].active,
        )
        for row in people
    ]
    upsert(connection, desired_user, wanted)
    gone = [number for number in held if number not in mapped]
    if gone:
        connection.execute(delete(desired_user).where(desired_user.c.entry_id.in_(gone)))
    keys: Iterable[object] = [row["user_name_key"] for row in wanted] + [row.user_name_key for row in held.values()]
    return {key for key in keys if isinstance(key, str)}


def _mapped(population: Population, row: Row[tuple[Any, ...]], person: Person) -> MappedUser:
    mapped = population.mapping.user(row.anchor, row.dn, person.attributes, active=person.active)
    problem = _not_read(row) if is_unread(row) else mapped.problem
    return replace(mapped, problem=person.problem or problem)


def _desired(
    number: int,
    mapped: MappedUser,
    standing: Standing,
    treatment: Treatment,
    *,
    active: bool,
) -> dict[str, object]:
    return {
        "entry_id": number,
        "user_name": mapped.user_name,
        # Without a usable resource there is no name that could be in conflict with another.
        "user_name_key": None if mapped.problem else mapped.user_name.casefold(),
        "email": mapped.email,
        "email_key": address_key(mapped.email),
        "domain": standing.domain,
        "external": standing.external,
        "protected": standing.protected,
        "provisioned": treatment.provisioned,
        "withdrawn": treatment.withdrawn,
        "held_back": treatment.held_back,
        "awaits": treatment.awaits,
        "active": active,
        "payload": orjson.dumps(mapped.payload).decode(),
        "digest": digest_of(mapped.payload),
        "problem": mapped.problem,
    }


def _not_read(row: Row[tuple[Any, ...]]) -> str:
    where = "the global catalogue" if row.source == CATALOGUE else f"source {row.source}"
    return (
        f"{row.dn}: {NOT_READ}. What stands upstream is left as it is until {where} shows it, or tells that it is gone."
    )
