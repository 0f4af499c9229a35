"""Marks: which entries planning has to look at again.

A mark stays until the entry's desired state and the ledger agree, so a crash or a refusal loses no work.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from agent.state.database import batched, upsert
from agent.state.tables import entry, membership, name
from agent.state.tables import mark as mark_table

_BATCH = 500


def mark(connection: Connection, numbers: Iterable[int], *, references_too: bool) -> None:
    """Mark entries. `references_too`: the groups that name them have to be resolved again as well."""
    for some in batched(numbers, _BATCH):
        if references_too:
            upsert(connection, mark_table, [{"entry_id": number, "references_too": True} for number in some])
        else:
            held = set(
                connection.execute(select(mark_table.c.entry_id).where(mark_table.c.entry_id.in_(some))).scalars()
            )
            new = [{"entry_id": number, "references_too": False} for number in some if number not in held]
            if new:
                connection.execute(insert(mark_table), new)


def mark_referrers(connection: Connection, numbers: Iterable[int]) -> None:
    """Mark the groups that list any name of these entries, while the names are still theirs."""
    for some in batched(numbers, _BATCH):
        groups = connection.execute(
            select(membership.c.group_id)
            .distinct()
            .join(name, (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value))
            .where(name.c.entry_id.in_(some))
        ).scalars()
        mark(connection, list(groups), references_too=True)


def mark_everything(connection: Connection) -> None:
    """Mark every entry, for a full reconciliation and after a change of settings."""
    numbers = list(connection.execute(select(entry.c.id)).scalars())
    mark(connection, numbers, references_too=True)
