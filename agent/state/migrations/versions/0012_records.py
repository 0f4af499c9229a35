"""What tells a back-up that was made in the middle of a cycle, and which lists are as old as a back-up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_RESTORED = "what the sources told was forgotten"


def upgrade() -> None:
    """Add the columns. Of the cycles before, nothing is known."""
    op.add_column("cycle", sa.Column("records", sa.Integer()))
    op.add_column("entry", sa.Column("old_list", sa.Boolean(), nullable=False, server_default="0"))
    texts = (sa.column("digest", sa.String()), sa.column("attributes", sa.Text()))
    entry = sa.table("entry", sa.column("present", sa.Boolean()), sa.column("content_read", sa.Integer()), *texts)
    of = entry.c
    unread = sa.select(of.present).where(of.present, of.digest == "", of.attributes == "{}", of.content_read == 0)
    connection = op.get_bind()
    if connection.execute(unread.limit(1)).first() is not None:
        fact = sa.table("fact", sa.column("name", sa.String()), sa.column("value", sa.Text()))
        connection.execute(fact.insert().values(name=_RESTORED, value="yes"))
