"""By which groups somebody is in a group: through its own list, or through groups inside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Select, select

from agent.directory.names import meant_by
from agent.directory.resolution import opened_groups
from agent.state.database import batched
from agent.state.tables import entry, membership, name, same_person
from connectors.base import EntryKind

_BATCH = 500
_Way = tuple[str, ...]


def ways_into(reader: Connection, group_id: int, people: Iterable[int]) -> dict[int, _Way]:
    """Return a shortest way to each of these people: the DNs of the groups inside the group that lead there.

    An empty way is the group's own list. Whoever stands for a person is in it by any entry of that person; who is in it
    by none is left out.
    """
    nested = _ways_to_nested_groups(reader, group_id)
    ways: dict[int, _Way] = {}
    for some in batched(people, _BATCH):
        led = select(same_person.c.entry_id, same_person.c.leader_id).where(same_person.c.leader_id.in_(some))
        person_of = {number: number for number in some} | {row.entry_id: row.leader_id for row in reader.execute(led)}
        listed = _listing(group_id).where(name.c.entry_id.in_(person_of))
        for row in reader.execute(listed):
            way, person = nested.get(row.group_id), person_of[row.entry_id]
            if way is not None and (person not in ways or len(way) < len(ways[person])):
                ways[person] = way
    return ways


def _ways_to_nested_groups(reader: Connection, group_id: int) -> Mapping[int, _Way]:
    inside: dict[int, set[int]] = {}
    dns: dict[int, str] = {}
    groups = _listing(group_id).add_columns(entry.c.dn).join(entry, entry.c.id == name.c.entry_id)
    for row in reader.execute(groups.where(entry.c.kind == EntryKind.GROUP.value)):
        inside.setdefault(row.group_id, set()).add(row.entry_id)
        dns[row.entry_id] = row.dn
    ways: dict[int, _Way] = {group_id: ()}
    reached = [group_id]
    for number in reached:  # it grows while it is walked through
        for nested in sorted(inside.get(number, ())):
            if nested not in ways:
                ways[nested] = (*ways[number], dns[nested])
                reached.append(nested)
    return ways


def _listing(group_id: int) -> Select[tuple[int, int]]:
    """Select who is listed in a group or a group inside it, and where."""
    groups = opened_groups(group_id)
    lister, owner = entry.alias("lister"), entry.alias("owner")
    same_name = (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value)
    return (
        select(membership.c.group_id, name.c.entry_id)
        .select_from(groups)
        .join(membership, membership.c.group_id == groups.c.id)
        .join(name, same_name)
        .join(lister, lister.c.id == groups.c.id)
        .join(owner, owner.c.id == name.c.entry_id)
        .where(meant_by(lister, owner), ~lister.c.old_list)
    )
