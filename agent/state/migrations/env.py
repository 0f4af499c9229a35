"""What Alembic runs. The agent hands over its own connection, so a migration is one transaction with it."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine

from agent.state.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    # `alembic revision --autogenerate` by a developer: compare with an empty database or the one given.
    url = context.get_x_argument(as_dictionary=True).get("url", "sqlite://")
    connection = create_engine(url).connect()

context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
