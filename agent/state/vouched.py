"""The time that is believed where something is thrown away for good because it is old: what the cycles vouch for.

A clock that is a year ahead for a moment makes everything a year older. So each cycle that ends takes the time it finds
for true no further than a step beyond what the one before had found. Whoever stood still for long comes up to now in a
few cycles.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from agent.state.facts import fact_of, write_fact

_FACT = "time that the cycles vouch for"
_STEP = timedelta(days=8)  # a schedule of once a week does not fall behind
_NONE = datetime(1970, 1, 1, tzinfo=UTC)


def note_time(connection: Connection) -> None:
    """At the end of a cycle: take over what time it is."""
    known, now = fact_of(connection, _FACT), datetime.now(UTC)
    believed = now if known is None else min(now, datetime.fromisoformat(known) + _STEP)
    write_fact(connection, _FACT, believed.isoformat())


def vouched_time(connection: Connection, *, and_after: timedelta = timedelta(0)) -> datetime:
    """Return now, or what the last cycles vouch for (and so long after it), if that is earlier."""
    known = fact_of(connection, _FACT)
    return _NONE if known is None else min(datetime.now(UTC), datetime.fromisoformat(known) + and_after)
