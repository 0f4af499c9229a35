"""From an entry up to the selected groups: by which groups somebody is in them.

It goes the way that agent/directory/resolution.py goes down when it opens a group: along names, former ones included,
and through groups that are out of sight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, or_, select

from agent.directory.names import meant_by
from agent.explanation.facts import GroupPath
from agent.population.desired import Population
from agent.population.persons import attributes_of
from agent.state.database import batched
from agent.state.tables import desired_group, entry, membership, name
from connectors.base import EntryKind, NameKind

PATHS_SHOWN = 50
_LOOKED_AT = 10_000  # groups that contain each other make more paths than anybody can count
_BATCH = 500
_Row = Row[tuple[Any, ...]]
_Found = tuple[tuple[int, ...], "Listed"]


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry, or a name that nobody has, stands in the list of a group."""

    group: int
    label: str
    by_primary_group: bool = False


@dataclass(frozen=True, slots=True)
class Paths:
    """What was found. `more`: how many are not among `shown`; `counted`: False where there are even more."""

    shown: tuple[GroupPath, ...] = ()
    more: int = 0
    counted: bool = True

    @property
    def selected(self) -> tuple[str, ...]:
        """The selected groups at their beginnings."""
        return tuple(dict.fromkeys(path.groups[0] for path in self.shown))


def listed_entries(reader: Connection, entries: Mapping[int, str]) -> list[Listed]:
    """Return where these entries are listed; a group that has somebody both ways is one that lists."""
    found: dict[tuple[int, int], bool] = {}
    for row in _containers(reader, entries):
        key, primary = (row.group_id, row.entry_id), row.kind == NameKind.PRIMARY_GROUP.value
        found[key] = found.get(key, True) and primary
    return [Listed(group, entries[number], primary) for (group, number), primary in sorted(found.items())]


def name_of_group(population: Population, row: _Row) -> str:
    """Return what a group is called upstream, or would be."""
    return population.mapping.group_name.value(attributes_of(row)) or str(row.dn)


def groups_known(reader: Connection, numbers: Iterable[int]) -> dict[int, _Row]:
    """Return the entries of these groups."""
    rows: dict[int, _Row] = {}
    for some in batched(sorted(set(numbers)), _BATCH):
        rows |= {row.id: row for row in reader.execute(select(entry).where(entry.c.id.in_(some)))}
    return rows


def paths_to(reader: Connection, population: Population, listed: Collection[Listed]) -> Paths:
    """Follow the lists upwards. The shortest path of every selected group is among those that are shown."""
    above = _above(reader, {item.group for item in listed}) if population.scope.nested else {}
    groups = {item.group for item in listed} | {group for some in above.values() for group in some}
    selected = _selected(reader, groups)
    leading = _below(selected, above)
    found: list[_Found] = []
    waiting: deque[_Found] = deque(((item.group,), item) for item in listed if item.group in leading)
    looked_at = 0
    while waiting and looked_at < _LOOKED_AT:
        looked_at += 1
        path, item = waiting.popleft()
        if path[0] in selected:
            found.append((path, item))
        further = sorted(above.get(path[0], set()) & leading - set(path))
        waiting.extend(((group, *path), item) for group in further)
    rows = groups_known(reader, {group for path, _ in found for group in path})
    names = {number: name_of_group(population, row) for number, row in rows.items()} | selected
    shown = [
        GroupPath(
            groups=tuple(names[number] for number in path),
            dns=tuple(rows[number].dn for number in path),
            entry=item.label,
            by_primary_group=item.by_primary_group,
            out_of_sight=tuple(names[number] for number in path if not rows[number].present),
        )
        for path, item in _shortest_first(found)[:PATHS_SHOWN]
    ]
    shown.sort(key=lambda path: (path.groups[0].casefold(), len(path.groups), path.groups, path.entry))
    return Paths(tuple(shown), len(found) - len(shown), counted=not waiting)


def _shortest_first(found: list[_Found]) -> list[_Found]:
    """Put the first path of every selected group before all others; they were found breadth first."""
    first: dict[int, int] = {}
    for index, (path, _) in enumerate(found):
        first.setdefault(path[0], index)
    order = sorted(range(len(found)), key=lambda index: (first[found[index][0][0]] != index, index))
    return [found[index] for index in order]


def _containers(reader: Connection, numbers: Iterable[int]) -> list[_Row]:
    """Return which groups list any name of these entries."""
    rows: list[_Row] = []
    owner = entry.alias("owner")
    for some in batched(sorted(numbers), _BATCH):
        listing = (
            select(membership.c.group_id, name.c.entry_id, name.c.kind)
            .join(name, and_(name.c.kind == membership.c.kind, name.c.value == membership.c.value))
            .join(entry, entry.c.id == membership.c.group_id)
            .join(owner, owner.c.id == name.c.entry_id)
            .where(
                name.c.entry_id.in_(some),
                meant_by(entry, owner),
                ~entry.c.old_list,
                # A selected group is opened as it is; of those inside it, only groups are.
                or_(entry.c.kind == EntryKind.GROUP.value, entry.c.id.in_(select(desired_group.c.entry_id))),
            )
        )
        rows.extend(reader.execute(listing))
    return rows


def _above(reader: Connection, groups: Collection[int]) -> dict[int, set[int]]:
    """Return, of these groups and of all above them, which groups list them."""
    above: dict[int, set[int]] = {}
    level = set(groups)
    while level:
        rows = _containers(reader, level)
        for number in level:
            above[number] = set()
        for row in rows:
            above[row.entry_id].add(row.group_id)
        level = {row.group_id for row in rows} - above.keys()
    return above


def _selected(reader: Connection, groups: Iterable[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for some in batched(sorted(groups), _BATCH):
        rows = (
            select(desired_group.c.entry_id, desired_group.c.display_name, entry.c.dn)
            .join(entry, entry.c.id == desired_group.c.entry_id)
            .where(desired_group.c.entry_id.in_(some))
        )
        found |= {row.entry_id: row.display_name or row.dn for row in reader.execute(rows)}
    return found


def _below(selected: Iterable[int], above: Mapping[int, set[int]]) -> set[int]:
    """Return the groups from which a way leads up to a selected one, those included."""
    below: dict[int, set[int]] = {}
    for group, lists in above.items():
        for upper in lists:
            below.setdefault(upper, set()).add(group)
    leading = set(selected)
    level = set(leading)
    while level:
        level = {group for upper in level for group in below.get(upper, set())} - leading
        leading |= level
    return leading
