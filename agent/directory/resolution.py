"""Which groups a change reaches, and who is in a group when its nested groups are opened.

Both walks are recursive queries that remember where they have been, so groups that contain each other are no
trouble (UNION, not UNION ALL, ends the recursion).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import CTE, Connection, case, func, select, union

from agent.directory.names import meant_by
from agent.directory.unread import unread_in
from agent.state.tables import entry, mark, membership, name
from connectors.base import EntryKind, NameKind

# A group that is nobody's primary group lacks nobody.
NAMES_NOBODY = (NameKind.PRIMARY_GROUP.value, NameKind.FOREIGN_DN.value)


@dataclass(frozen=True, slots=True)
class FlatGroup:
    """A group with its nested groups opened.

    members:     numbers of the users, contacts and foreign principals in it
    whole:       whether this list and every nested one that was read has been read to its end
    complete:    and whether none was left unread, and it is known of every name whose it is, so that who is not
                 listed has left
    unresolved:  names that no source can answer, or that belong to a group that can no longer be read
    """

    members: frozenset[int]
    whole: bool
    complete: bool
    unresolved: int


def groups_reached_by_marks(connection: Connection) -> list[int]:
    """Return the groups whose resolved members may differ: the marked ones, and all that contain what is marked."""
    same_name = (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value)
    # Lists of values, not joins: see agent/plan/difference.py.
    marked_groups = select(entry.c.id).where(
        entry.c.id.in_(select(mark.c.entry_id)), entry.c.kind == EntryKind.GROUP.value
    )
    referrers = (
        select(membership.c.group_id)
        .join(name, same_name)
        .where(name.c.entry_id.in_(select(mark.c.entry_id).where(mark.c.references_too)))
    )
    seeds = union(marked_groups, referrers).subquery()
    reached = select(seeds.c[0].label("id")).cte("reached", recursive=True)
    parents = select(membership.c.group_id).join(name, same_name).join(reached, reached.c.id == name.c.entry_id)
    everything = reached.union(parents)
    return sorted(connection.execute(select(everything.c.id)).scalars())


def flatten(connection: Connection, group_id: int, *, nested: bool) -> FlatGroup:
    """Open a group. With `nested` False, groups inside it are left closed and their people left out."""
    same_name = (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value)
    opened = opened_groups(group_id) if nested else select(entry.c.id).where(entry.c.id == group_id).cte("opened")
    lister = entry.alias("lister")
    members = connection.execute(
        select(entry.c.id)
        .distinct()
        .select_from(opened)
        .join(lister, lister.c.id == opened.c.id)
        .join(membership, membership.c.group_id == opened.c.id)
        .join(name, same_name)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(entry.c.kind != EntryKind.GROUP.value, entry.c.present, meant_by(lister), ~lister.c.old_list)
    ).scalars()
    having = (
        select(name.c.entry_id)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(same_name)
        .correlate(membership, lister)
    )
    of_several = case((having.exists(), 1), else_=0)
    unknown, ambiguous = connection.execute(
        select(func.count(), func.coalesce(func.sum(of_several), 0))
        .select_from(opened)
        .join(lister, lister.c.id == opened.c.id)
        .join(membership, membership.c.group_id == opened.c.id)
        .where(membership.c.kind.not_in(NAMES_NOBODY), ~having.where(meant_by(lister)).exists(), ~lister.c.old_list)
    ).one()
    groups = connection.execute(
        select(
            entry.c.id, entry.c.members_complete, entry.c.present, unread_in(entry).label("unread"), entry.c.old_list
        ).join(opened, opened.c.id == entry.c.id)
    ).all()
    unreadable = sum(1 for row in groups if not row.present and row.id != group_id)
    whole = all(row.members_complete for row in groups if row.present and not row.unread)
    return FlatGroup(
        members=frozenset(members),
        # What a group that is out of sight last held stays; that it may hold more keeps nobody in another.
        whole=whole,
        complete=whole and not ambiguous and not any(row.unread or row.old_list for row in groups),
        unresolved=unknown + unreadable,
    )


def opened_groups(group_id: int) -> CTE:
    """Return a query for the numbers of a group and of all groups inside it."""
    same_name = (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value)
    start = select(entry.c.id).where(entry.c.id == group_id).cte("opened", recursive=True)
    lister = entry.alias("opener")
    inside = (
        select(entry.c.id)
        .select_from(start)
        .join(lister, lister.c.id == start.c.id)
        .join(membership, membership.c.group_id == start.c.id)
        .join(name, same_name)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(entry.c.kind == EntryKind.GROUP.value, meant_by(lister), ~lister.c.old_list)
    )
    return start.union(inside)
