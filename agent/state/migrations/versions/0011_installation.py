"""Every state gets a name when it is made, which its back-ups bear, however early they were made."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_NAME = "name of this installation"


def upgrade() -> None:
    """Write the name down, unless it has been given already."""
    fact = sa.table("fact", sa.column("name", sa.String()), sa.column("value", sa.Text()))
    connection = op.get_bind()
    if connection.execute(sa.select(fact.c.value).where(fact.c.name == _NAME)).first() is None:
        connection.execute(fact.insert().values(name=_NAME, value=uuid.uuid4().hex))
