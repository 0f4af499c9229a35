"""Lines of [guard] that do nothing, because nobody is called so: a slip of the pen protects nobody, without a word."""

from __future__ import annotations

from sqlalchemy import Connection, select

from agent.connection import Connection as Settled
from agent.planning import FINGERPRINT
from agent.population.scope import selection_of
from agent.state.facts import fact_of
from agent.state.tables import desired_group, entry, guarded_entry
from connectors.distinguished_name import normalise


def idle_lines(reader: Connection, connection: Settled) -> list[str]:
    """Tell of each line that has named nobody who is provisioned, and no selected group."""
    if fact_of(reader, FINGERPRINT) != connection.fingerprint:
        return []  # no cycle has worked with these settings yet
    named = set(reader.execute(select(guarded_entry.c.line).distinct()).scalars())
    sentences = [
        f'[guard] protected: "{written}" protects nobody: no user who is provisioned and no selected group is called '
        "so. Correct it, or take it out; a group protects its members only where [scope] groups selects it by itself."
        for line, written in connection.protection.lines.items()
        if line not in named
    ]
    rules = connection.settings.guard.group
    if not rules:
        return sentences
    rows = reader.execute(
        select(entry.c.dn, desired_group.c.display_name).join(entry, entry.c.id == desired_group.c.entry_id)
    )
    groups = [(normalise(row.dn), row.display_name) for row in rows]
    return sentences + [
        f'[guard.group]: "{written}" limits no group: no selected group is called so. Correct it, or take it out; a '
        "group that has moved has another DN."
        for written in rules
        if selection_of([written], "guard.group").unmatched(groups)
    ]
