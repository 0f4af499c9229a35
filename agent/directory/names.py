"""Names of entries, and how long an old one goes on counting.

A directory renames an entry and corrects the groups that list it in two steps (OpenLDAP's refint works
asynchronously). Between the two a group lists a name nobody has any more. So an entry keeps a name it lost until a
later complete read: a rename in progress never looks like a member that left.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, exists, select, update

from agent.directory.marks import mark
from agent.state.database import batched, upsert
from agent.state.tables import entry, membership, name
from connectors.base import Name, NameKind

_BATCH = 500
Claim = tuple[int, Name]


def qualified(given: Name, source: str) -> Name:
    """Make a name unique across sources: a uid means something in its own source only, a DN everywhere."""
    return Name(given.kind, f"{source}:{given.value}") if given.kind is NameKind.UID else given


def claim_names(connection: Connection, claims: list[Claim], *, forget_as_of: int | None = None) -> bool:
    """Record that these entries have these names now. Returns whether anything changed for others to see.

    With `forget_as_of`, the claims are all the names of their entry, and what it had besides becomes former as of
    that read.
    """
    changed = False
    if forget_as_of is not None:
        for number in {number for number, _ in claims}:
            held = connection.execute(select(name).where(name.c.entry_id == number)).all()
            current = {Name(NameKind(row.kind), row.value) for row in held if row.former_since is None}
            wanted = {claimed for owner, claimed in claims if owner == number}
            changed = changed or current != wanted
            for lost in current - wanted:
                _make_former(connection, number, lost, forget_as_of)
    for some in batched(claims, _BATCH):
        for kind in NameKind:
            values = [claimed.value for _, claimed in some if claimed.kind is kind]
            if values:
                # Whoever has a name now has it alone: a former owner no longer answers to it.
                connection.execute(
                    delete(name).where(
                        name.c.kind == kind.value, name.c.value.in_(values), name.c.former_since.is_not(None)
                    )
                )
        rows = [
            {"kind": claimed.kind.value, "value": claimed.value, "entry_id": number, "former_since": None}
            for number, claimed in some
        ]
        upsert(connection, name, rows)
    return changed


def forget_names(connection: Connection, numbers: list[int], read_number: int) -> None:
    """Make the names of entries that are gone former ones."""
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


def _make_former(connection: Connection, number: int, lost: Name, read_number: int) -> None:
    same = and_(name.c.kind == lost.kind.value, name.c.value == lost.value)
    taken = connection.execute(
        select(name.c.entry_id).where(same, name.c.entry_id != number, name.c.former_since.is_(None))
    ).first()
    mine = and_(same, name.c.entry_id == number)
    if taken is not None:
        connection.execute(delete(name).where(mine))
    else:
        connection.execute(update(name).where(mine).values(former_since=read_number))
