"""A group, in a few facts: `rollcall explain` is about people, and somebody may ask for a group all the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from agent.explanation.facts import GroupSeen, Verdict
from agent.explanation.guarded import Held
from agent.explanation.paths import Paths, listed_entries, name_of_group, paths_to
from agent.population.desired import Population
from agent.state.tables import desired_group, desired_member, entry, ledger_group, ledger_member
from connectors.distinguished_name import normalise

_Row = Row[tuple[Any, ...]]


def group_seen(reader: Connection, population: Population, number: int, guard: Held) -> GroupSeen:
    """Describe a group, selected or not."""
    row = reader.execute(select(entry).where(entry.c.id == number)).one()
    desired = reader.execute(select(desired_group).where(desired_group.c.entry_id == number)).first()
    held = reader.execute(select(ledger_group).where(ledger_group.c.entry_id == number)).first()
    name = name_of_group(population, row)
    return GroupSeen(
        name=name,
        dn=row.dn,
        source=row.source,
        anchor=row.anchor,
        present=row.present,
        lines=tuple(population.scope.selection.lines(normalise(row.dn), name)),
        members=_count(reader, desired_member, number),
        unknown_members=0 if desired is None else desired.unresolved,
        complete=desired is not None and desired.members_complete,
        scim_id=None if held is None else held.scim_id,
        members_upstream=_count(reader, ledger_member, number),
        in_doubt=held is not None and held.in_doubt,
        problem=None if desired is None else desired.problem,
        held=None if held is None else guard.of_group(held.scim_id),
    )


def paths_to_group(reader: Connection, population: Population, number: int) -> Paths:
    """Return by which selected groups its people come in."""
    dn = reader.execute(select(entry.c.dn).where(entry.c.id == number)).scalar_one()
    return paths_to(reader, population, listed_entries(reader, {number: dn}))


def verdict_on_group(group: GroupSeen, through: Paths) -> Verdict:
    """Say whether it is pushed."""
    if not group.present:
        sentence = f"group {group.name} is gone from source {group.source}"
        sentence += "" if group.scim_id is None else f"; upstream it stays, emptied (SCIM id {group.scim_id})"
        return Verdict(provisioned=False, sentence=f"{sentence}.")
    if not group.lines:
        sentence = f"group {group.name} is not selected: no line of [scope] groups names it"
        if through.selected:
            sentence += f"; its people come in by {', '.join(through.selected)}, which it is in"
        return Verdict(
            provisioned=False, sentence=f"{sentence}.", remedy="To push it as a group, name it in [scope] groups."
        )
    if group.problem is not None:
        return Verdict(provisioned=False, sentence=f"group {group.name} is not pushed: {group.problem}")
    if group.scim_id is None:
        return Verdict(provisioned=False, sentence=f"group {group.name} is selected, and does not stand upstream yet.")
    remedies = ["To know why somebody is not in it, ask for the person."]
    if group.held is not None:
        remedies.append(f"{group.held[0].upper()}{group.held[1:]}.")
    if group.unknown_members:
        remedies.append(f"It lists {group.unknown_members} more that no source can name: see rollcall status.")
    return Verdict(
        provisioned=True,
        sentence=f"group {group.name} is pushed: SCIM id {group.scim_id}, {group.members} people in it by the "
        f"directory, {group.members_upstream} members upstream.",
        remedy=" ".join(remedies),
    )


def _count(reader: Connection, table: Table, number: int) -> int:
    return int(reader.execute(select(func.count()).select_from(table).where(table.c.group_id == number)).scalar_one())
