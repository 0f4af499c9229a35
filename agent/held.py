"""What the guard holds as the sources were last read, and what that rests on: for whoever asks between two cycles."""

from __future__ import annotations

from sqlalchemy import select

from agent.connection import Connection
from agent.cycle import difference_of, guard
from agent.plan.guard import Verdict
from agent.plan.plan import removals_of
from agent.state.database import State
from agent.state.tables import source
from connectors.base import Completeness


def held_now(connection: Connection, state: State) -> Verdict:
    """Return what the guard makes of the removals that the state knows of by now.

    That a source suddenly showed nobody is not in the state: the report of its read tells that.
    """
    return guard(connection, state, (), removals_of(difference_of(connection, state)))


def incomplete_reads(connection: Connection, state: State) -> list[str]:
    """Say of which sources a plan does not know everything, and what that means for it."""
    with state.read() as reader:
        rows = {row.name: row for row in reader.execute(select(source))}
    sentences = []
    for settings in (item.settings for item in connection.sources):
        row = rows.get(settings.name)
        if row is None or row.completeness != Completeness.COMPLETE:
            reason = "It has not been read yet." if row is None else row.reason
            sentences.append(
                f"The plan rests on an incomplete read of source {settings.name}: removals that rest on it are not "
                f"part of it. {reason}"
            )
    return sentences
