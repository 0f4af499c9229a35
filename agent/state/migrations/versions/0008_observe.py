"""What audit trail and notices have to know: writes whose outcome is not known yet, and what was told to whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables, and when each source was last read completely, as far as that is known."""
    op.add_column("source", sa.Column("fresh_at", sa.DateTime(timezone=True)))
    held = sa.table("source", *(sa.column(name) for name in ("fresh_at", "last_read_at", "last_complete_at")))
    complete = sa.column("completeness", sa.String()) == "complete"
    op.execute(held.update().values(fresh_at=sa.case((complete, held.c.last_read_at), else_=held.c.last_complete_at)))
    op.create_table(
        "pending_write",
        sa.Column("cycle_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cycle_id", "number", name=op.f("pk_pending_write")),
    )
    op.create_table(
        "trouble",
        sa.Column("cause", sa.String(length=300), nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("cause", "channel", name=op.f("pk_trouble")),
    )
