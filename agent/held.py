"""What the guard holds as the sources were last read, and what that rests on: for whoever asks between two cycles."""

from __future__ import annotations

import json

from sqlalchemy import select

from agent.connection import Connection
from agent.plan.guard import Verdict
from agent.plan.plan import removals_of
from agent.planning import difference_of, guard
from agent.provision_report import provisions
from agent.state.database import State
from agent.state.tables import cycle, source
from connectors.base import Completeness

_LAST_WAS_FINAL = "when the sources were read last, everything was held, and rollcall status says why."


def held_now(connection: Connection, state: State) -> Verdict:
    """Return what the guard makes of the removals that the state knows of by now."""
    removals = removals_of(difference_of(connection, state))
    verdict = guard(connection, state, (), removals)
    if removals and not verdict.final and _last_was_final(state):
        return Verdict((_LAST_WAS_FINAL, *verdict.reasons), removals, final=True)
    return verdict


def _last_was_final(state: State) -> bool:
    """Tell whether everything was held when the sources were read last, and no approval lifted that.

    That a source suddenly showed nobody is known from there alone.
    """
    ended = select(cycle.c.ended_at, cycle.c.report).where(cycle.c.ended_at.is_not(None))
    with state.read() as reader:
        last = reader.execute(ended.order_by(cycle.c.started_at.desc()).limit(1)).first()
        singly = next((item for item in provisions(reader) if item.ended_at is not None), None)
    ended_at = None if singly is None else singly.ended_at
    if singly is not None and ended_at is not None and (last is None or ended_at > last.ended_at):
        return singly.final
    if last is None:
        return False
    report = json.loads(last.report)
    return report["counts"].get("removals held", 0) > 0 and not report.get("plan_digest")


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
