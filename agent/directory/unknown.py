"""Unknown members of the selected groups: where they point to, and what makes them known.

They are kept as they stand upstream (invariant 2). Whoever wants them provisioned has to know where they come from:
the domain that a name points to, and whether a source reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import CTE, Connection, Row, Select, and_, false, literal, select

from agent.directory.names import meant_by
from agent.directory.places import Place, Places
from agent.directory.resolution import NAMES_NOBODY
from agent.state.tables import desired_group, entry, membership, name
from connectors.base import EntryKind, NameKind, SourceSettings

_SEVERAL = (
    "several sources have an entry of this name, and the group is of none of them. List the member by a name that one "
    "source alone has, or read the group's own directory as a source"
)
_EXAMPLES = 3
_ROWS = 500
_Row = Row[tuple[str, str, str | None, str, str, str, bool]]


@dataclass(slots=True)
class UnknownMembers:
    """Those that one thing has to be done about.

    place:     where they point to: a domain, the SID of one, or the end of their DN
    number:    how many names there are, each counted once
    examples:  some of the names
    groups:    the selected groups that have them, nested ones opened
    """

    place: Place
    number: int = 0
    examples: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, object]:
        """Return it as the commands print it."""
        return {
            "domain": self.place.domain,
            "members": self.number,
            "examples": self.examples,
            "groups": sorted(self.groups),
            "remedy": self.place.remedy,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """Tell people."""
        groups = sorted(self.groups)
        of = ", ".join(groups[:_EXAMPLES]) + (f" and {more} more" if (more := len(groups) - _EXAMPLES) > 0 else "")
        some = "; ".join(self.examples) + ("; …" if self.number > len(self.examples) else "")
        return (
            f"{self.number} member{'' if self.number == 1 else 's'} of {of} in {self.place.domain} that no source can "
            f"name ({some}): {self.place.remedy}. What stands upstream is left alone."
        )


def unknown_members(connection: Connection, sources: Sequence[SourceSettings], *, nested: bool) -> list[UnknownMembers]:
    """Return the unknown members of the selected groups by what has to be done, most of them first.

    The names are counted as they come from the database, so that memory does not grow with their number.
    """
    if not any_unknown(connection):
        return []
    places = Places(connection, sources)
    found: dict[Place, UnknownMembers] = {}
    before: tuple[str, str] | None = None
    place = Place("", "")
    for row in _rows(connection, nested=nested):
        if (row.kind, row.value) != before:
            before = (row.kind, row.value)
            place = places.of(row.kind, row.foreign_dn or row.value, row.source, row.group_dn)
            if row.several:
                place = replace(place, remedy=_SEVERAL)
            group = found.setdefault(place, UnknownMembers(place))
            group.number += 1
            if len(group.examples) < _EXAMPLES:
                group.examples.append(_shown(row))
        found[place].groups.add(row.selected)
    return sorted(found.values(), key=lambda group: (-group.number, group.place.domain, group.place.remedy))


def any_unknown(connection: Connection) -> bool:
    """Tell whether a selected group has unknown members."""
    return (
        connection.execute(select(desired_group.c.entry_id).where(desired_group.c.unresolved > 0).limit(1)).first()
        is not None
    )


def _rows(connection: Connection, *, nested: bool) -> Iterator[_Row]:
    """Yield the names, each once for every list and selected group it is in, the same ones in a row."""
    opened = _opened(nested=nested)
    for query in (_names_of_nobody(opened), _groups_out_of_sight(opened)):
        yield from connection.execute(query.execution_options(yield_per=_ROWS))


def _names_of_nobody(opened: CTE) -> Select[tuple[str, str, str | None, str, str, str, bool]]:
    beside = membership.alias("beside")
    lister = entry.alias("lister")
    foreign_dn = (
        select(beside.c.value)
        .where(
            beside.c.group_id == membership.c.group_id,
            beside.c.kind == NameKind.FOREIGN_DN.value,
            # The value begins with the GUID and a blank, and "!" comes after the blank.
            beside.c.value >= membership.c.value + " ",
            beside.c.value < membership.c.value + "!",
            membership.c.kind == NameKind.GUID.value,
        )
        .limit(1)
        .scalar_subquery()
    )
    having = (
        select(name.c.entry_id)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(name.c.kind == membership.c.kind, name.c.value == membership.c.value)
        .correlate(membership, lister)
    )
    return (
        select(
            membership.c.kind,
            membership.c.value,
            foreign_dn.label("foreign_dn"),
            lister.c.source,
            lister.c.dn.label("group_dn"),
            desired_group.c.display_name.label("selected"),
            having.exists().label("several"),
        )
        .select_from(opened)
        .join(membership, membership.c.group_id == opened.c.id)
        .join(lister, lister.c.id == opened.c.id)
        .join(desired_group, desired_group.c.entry_id == opened.c.selected)
        .where(
            membership.c.kind.not_in(NAMES_NOBODY),
            ~having.where(meant_by(lister)).exists(),
        )
        .order_by(membership.c.kind, membership.c.value, opened.c.id)
    )


def _groups_out_of_sight(opened: CTE) -> Select[tuple[str, str, str | None, str, str, str, bool]]:
    """Nested groups that are gone and still listed: nobody knows who is in them now."""
    return (
        select(
            literal(NameKind.DN.value).label("kind"),
            entry.c.dn.label("value"),
            literal(None).label("foreign_dn"),
            entry.c.source,
            entry.c.dn.label("group_dn"),
            desired_group.c.display_name.label("selected"),
            false().label("several"),
        )
        .select_from(opened)
        .join(entry, and_(entry.c.id == opened.c.id, entry.c.present.is_(False)))
        .join(desired_group, desired_group.c.entry_id == opened.c.selected)
        .where(opened.c.id != opened.c.selected)
        .order_by(entry.c.dn, opened.c.selected)
    )


def _opened(*, nested: bool) -> CTE:
    """Return the selected groups with unknown members, each with all the groups that are in it (itself included)."""
    selected = select(desired_group.c.entry_id.label("selected"), desired_group.c.entry_id.label("id")).where(
        desired_group.c.unresolved > 0
    )
    if not nested:
        return selected.cte("opened")
    start = selected.cte("opened", recursive=True)
    opener = entry.alias("opener")
    inside = (
        select(start.c.selected, entry.c.id)
        .select_from(start)
        .join(opener, opener.c.id == start.c.id)
        .join(membership, membership.c.group_id == start.c.id)
        .join(name, (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value))
        .join(entry, entry.c.id == name.c.entry_id)
        .where(entry.c.kind == EntryKind.GROUP.value, meant_by(opener))
    )
    return start.union(inside)


def _shown(row: _Row) -> str:
    if row.foreign_dn:
        return str(row.foreign_dn.partition(" ")[2])
    if row.kind == NameKind.GUID.value:
        return f"objectGUID {row.value}"
    return str(row.value.partition(":")[2] if row.kind == NameKind.UID.value else row.value)
