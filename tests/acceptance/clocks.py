"""A clock that was set wrong for a while, by the traces it leaves: the times in the state."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from agent.observe.audit_file import files_put_aside
from agent.state.tables import UtcDateTime, metadata
from tests.agent_runner import Agent

_FACTS = ("full reconciliation begun at", "time that the cycles vouch for")


def clock_is_set(agent: Agent, by: timedelta) -> None:
    """Move every time in the state the other way: to the agent it is the same."""
    back = f"{-by.total_seconds():.0f} seconds"
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as state:
        for table in metadata.sorted_tables:
            for column in (column.name for column in table.columns if isinstance(column.type, UtcDateTime)):
                moved = f"strftime('%Y-%m-%d %H:%M:%f', {column}, ?)"
                state.execute(f"UPDATE {table.name} SET {column} = {moved} WHERE {column} IS NOT NULL", [back])
        for name, value in state.execute("SELECT name, value FROM fact WHERE name IN (?, ?)", _FACTS).fetchall():
            moved = (datetime.fromisoformat(value) - by).isoformat()
            state.execute("UPDATE fact SET value = ? WHERE name = ?", [moved, name])
    for path in reversed(files_put_aside(agent.state)) if by < timedelta(0) else files_put_aside(agent.state):
        at = datetime.strptime(path.stem, "audit-%Y%m%d-%H%M%S").replace(tzinfo=UTC) - by
        path.rename(path.with_name(f"audit-{at:%Y%m%d-%H%M%S}.jsonl"))
