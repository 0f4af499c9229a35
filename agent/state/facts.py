"""Single facts the agent remembers about itself."""

from __future__ import annotations

from sqlalchemy import Connection, select

from agent.state.database import State, upsert
from agent.state.tables import fact


def read_fact(state: State, name: str) -> str | None:
    """Return a fact, or None when it was never written."""
    with state.read() as connection:
        return fact_of(connection, name)


def fact_of(connection: Connection, name: str) -> str | None:
    """Return a fact in the caller's transaction, or None when it was never written."""
    return connection.execute(select(fact.c.value).where(fact.c.name == name)).scalar()


def write_fact(connection: Connection, name: str, value: str) -> None:
    """Write a fact in the caller's transaction."""
    upsert(connection, fact, [{"name": name, "value": value}])
