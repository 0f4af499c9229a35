"""Sources that are no longer configured: their entries stay, but for those that a configured source brings now.

The same goes for what was known second-hand (agent/directory/second_hand.py) until a source read it.

A source may be given another name, or its part of the directory be read together with another. The anchor decides
identity: whoever is read elsewhere now lets go of the old entry, and what stands upstream passes to the new one.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from sqlalchemy import Connection, func, select

from agent.directory.presence import lose
from agent.directory.second_hand import CATALOGUE
from agent.state.database import batched
from agent.state.tables import entry, source

_BATCH = 500


def let_go_of_doubles(connection: Connection, configured: AbstractSet[str]) -> list[tuple[int, int]]:
    """Let go of entries of former sources that are there under the same anchor in a configured one.

    Returns the number each had and the one it has now.
    """
    found: list[tuple[int, int]] = []
    known = connection.execute(select(source.c.name, source.c.read_number)).all()
    # Whoever reads an entry itself knows it better than the global catalogue, which knows it better than nobody.
    former_sources = [(row.name, row.read_number, {*configured, CATALOGUE}) for row in known]
    for former, read_number, better in [*former_sources, (CATALOGUE, 0, configured)]:
        if former in configured:
            continue
        again = entry.alias("again")
        doubles = connection.execute(
            select(entry.c.id, func.min(again.c.id))
            .join(again, again.c.anchor == entry.c.anchor)
            .where(entry.c.source == former, entry.c.present, again.c.source.in_(better), again.c.present)
            .group_by(entry.c.id)
        ).all()
        evidence = (
            "a source reads it itself now"
            if former == CATALOGUE
            else f"source {former} is no longer configured, and another source has the entry"
        )
        found += [(before, now) for before, now in doubles]
        for some in batched((before for before, _ in doubles), _BATCH):
            lose(connection, some, evidence, read_number)
    return found
