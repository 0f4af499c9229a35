"""Names of entries, and how long an old one goes on counting.

A directory renames an entry and corrects the groups that list it in two steps (OpenLDAP's refint works
asynchronously). Between the two a group lists a name nobody has any more. So an entry keeps a name it lost until a
later complete read: a rename in progress never looks like a member that left.

A DN is unique in its own directory only: two forests may both be corp.local. So a group means the entry of its own
source by it; and one of another source only where no other has the name.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, FromClause, and_, delete, exists, or_, select, update

from agent.directory.marks import mark
from agent.state.database import batched, upsert
from agent.state.tables import entry, membership, name
from connectors.base import Name, NameKind

_BATCH = 500
# Names that several entries may have at a time.
_SHARED = frozenset({NameKind.UID, NameKind.PRIMARY_GROUP})
Claim = tuple[int, Name]

_same, _holder = name.alias("same"), entry.alias("holder")


def qualified(given: Name, source: str) -> Name:
    """Make a uid unique across sources: it means something in its own source only."""
    return Name(given.kind, f"{source}:{given.value}") if given.kind is NameKind.UID else given


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A DN that one entry had and another has now. `held`: the other had not given it up as far as the mirror knows."""

    previous: int
    name: Name
    held: bool


def claim_names(
    connection: Connection, claims: list[Claim], *, forget_as_of: int | None = None
) -> tuple[bool, list[TakenOver]]:
    """Record that these entries have these names now.

    With `forget_as_of`, the claims are all the names of their entry, and what it had besides becomes former as of
    that read. Returns whether anything changed for others to see, and what was taken over from others.
    """
    changed = False
    if forget_as_of is not None:
        for number in {number for number, _ in claims}:
            held = connection.execute(select(name).where(name.c.entry_id == number)).all()
            current = {Name(NameKind(row.kind), row.value) for row in held if row.former_since is None}
            wanted = {claimed for owner, claimed in claims if owner == number}
            changed = changed or current != wanted
            for lost in current - wanted:
                if lost.kind is NameKind.PRIMARY_GROUP:
                    _give_up(connection, number, lost)
                else:
                    _make_former(connection, number, lost, forget_as_of)
    taken: list[TakenOver] = []
    for some in batched(claims, _BATCH):
        taken += _take_over(connection, some)
        last = {claimed: number for number, claimed in some}
        rows = [
            {"kind": claimed.kind.value, "value": claimed.value, "entry_id": number, "former_since": None}
            for number, claimed in some
            if claimed.kind in _SHARED or last[claimed] == number
        ]
        upsert(connection, name, rows)
    return changed, taken


def meant_by(group: FromClause, owner: FromClause = entry) -> ColumnElement[bool]:
    """Tell whether a group that lists a name means this entry, among all that have the name.

    Whoever of its own source had the name last keeps it from everybody else, for a stranger is no heir; but the same
    entry, by its anchor, may be read in another source by now.

    group: the entry that lists; owner: the entry a row of `name` belongs to
    """
    others = (
        select(_same.c.entry_id)
        .join(_holder, _holder.c.id == _same.c.entry_id)
        .where(_same.c.kind == name.c.kind, _same.c.value == name.c.value, _same.c.entry_id != name.c.entry_id)
        .correlate(name, group, owner)
    )
    return or_(
        name.c.kind != NameKind.DN.value,
        owner.c.source == group.c.source,
        and_(
            ~others.where(
                _holder.c.source == group.c.source, or_(_holder.c.present, _holder.c.anchor != owner.c.anchor)
            ).exists(),
            ~others.where(_holder.c.present).exists(),
        ),
    )


def _take_over(connection: Connection, claims: list[Claim]) -> list[TakenOver]:
    """Let whoever claims a name have it alone, but for the kinds of names that are shared with who still has them.

    Of a DN that goes for one source: whoever has it in another keeps it.
    """
    taken = []
    numbers = sorted({number for number, _ in claims})
    source_of = {
        row.id: row.source
        for row in connection.execute(select(entry.c.id, entry.c.source).where(entry.c.id.in_(numbers)))
    }
    for kind in NameKind:
        owner_of = {claimed.value: number for number, claimed in claims if claimed.kind is kind}
        if not owner_of:
            continue
        others = connection.execute(
            select(name.c.value, name.c.entry_id, name.c.former_since, entry.c.source)
            .join(entry, entry.c.id == name.c.entry_id)
            .where(name.c.kind == kind.value, name.c.value.in_(list(owner_of)))
        ).all()
        for row in others:
            if kind is NameKind.DN and row.source != source_of[owner_of[row.value]]:
                continue
            if row.entry_id == owner_of[row.value] or (kind in _SHARED and row.former_since is None):
                continue
            connection.execute(
                delete(name).where(
                    name.c.kind == kind.value, name.c.value == row.value, name.c.entry_id == row.entry_id
                )
            )
            if kind is NameKind.DN:
                taken.append(TakenOver(row.entry_id, Name(kind, row.value), held=row.former_since is None))
    return taken


def lists_from_before(connection: Connection, taken: list[TakenOver], read_number: int) -> list[tuple[int, Name]]:
    """Return the groups that list a name which was taken over, in a list that is older than this read.

    A server may correct the members of a group without leaving a trace that an incremental read finds (OpenLDAP's
    refint touches neither entryCSN nor modifyTimestamp). So such a list means whoever had the name then, or nobody,
    and not the one who has it now.
    """
    found = []
    for some in batched(sorted({item.name for item in taken}), _BATCH):
        rows = connection.execute(
            select(membership.c.group_id, membership.c.value)
            .join(entry, entry.c.id == membership.c.group_id)
            .where(
                membership.c.kind == NameKind.DN.value,
                membership.c.value.in_([item.value for item in some]),
                entry.c.content_read < read_number,
            )
        ).all()
        found += [(row.group_id, Name(NameKind.DN, row.value)) for row in rows]
    return found


def forget_names(connection: Connection, numbers: list[int], read_number: int) -> None:
    """Make the names of entries that are gone former ones; whose primary group they had is told anew if they return."""
    connection.execute(delete(name).where(name.c.entry_id.in_(numbers), name.c.kind == NameKind.PRIMARY_GROUP.value))
    connection.execute(
        update(name).where(name.c.entry_id.in_(numbers), name.c.former_since.is_(None)).values(former_since=read_number)
    )


def purge_former_names(connection: Connection, source: str, read_number: int) -> None:
    """Let go of the names that were lost before this complete read; the groups that still use one are marked.

    Names of entries that are gone stay as long as a group lists them: a nested group that cannot be read any more
    is unknown, not empty (invariant 2).
    """
    listed = exists().where(membership.c.kind == name.c.kind, membership.c.value == name.c.value)
    rows = connection.execute(
        select(name.c.kind, name.c.value, name.c.entry_id, listed.label("listed"), entry.c.present)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(entry.c.source == source, name.c.former_since.is_not(None), name.c.former_since < read_number)
    ).all()
    for row in rows:
        if row.listed and not row.present:
            continue
        users = connection.execute(
            select(membership.c.group_id).where(membership.c.kind == row.kind, membership.c.value == row.value)
        ).scalars()
        mark(connection, list(users), references_too=True)
        connection.execute(
            delete(name).where(name.c.kind == row.kind, name.c.value == row.value, name.c.entry_id == row.entry_id)
        )


def _give_up(connection: Connection, number: int, lost: Name) -> None:
    """Let go of a name at once: who has another primary group now has left this one, and no rename is under way."""
    same = and_(name.c.kind == lost.kind.value, name.c.value == lost.value, name.c.entry_id == number)
    connection.execute(delete(name).where(same))
    users = select(membership.c.group_id).where(membership.c.kind == lost.kind.value, membership.c.value == lost.value)
    mark(connection, list(connection.execute(users).scalars()), references_too=True)


def names_of(connection: Connection, numbers: list[int]) -> set[Name]:
    """Return the names of entries, former ones included, but for those they share with others."""
    rows = connection.execute(
        select(name.c.kind, name.c.value).where(
            name.c.entry_id.in_(numbers), name.c.kind.not_in([kind.value for kind in _SHARED])
        )
    )
    return {Name(NameKind(row.kind), row.value) for row in rows}


def _make_former(connection: Connection, number: int, lost: Name, read_number: int) -> None:
    same = and_(name.c.kind == lost.kind.value, name.c.value == lost.value)
    taken_by = (
        select(name.c.entry_id)
        .join(entry, entry.c.id == name.c.entry_id)
        .where(same, name.c.entry_id != number, name.c.former_since.is_(None))
    )
    if lost.kind is NameKind.DN:
        source = select(entry.c.source).where(entry.c.id == number).scalar_subquery()
        taken_by = taken_by.where(entry.c.source == source)
    taken = connection.execute(taken_by).first()
    mine = and_(same, name.c.entry_id == number)
    if taken is not None:
        connection.execute(delete(name).where(mine))
    else:
        connection.execute(update(name).where(mine).values(former_since=read_number))
