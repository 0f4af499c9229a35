"""What incremental reads need.

Which read brought an entry's content, which entries cannot be understood, and the few people with a problem at hand.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("source", sa.Column("owes_full", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("source", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.add_column("entry", sa.Column("content_read", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "unreadable",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("anchor", sa.String(length=200), nullable=False),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("last_seen", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source", "anchor", name=op.f("pk_unreadable")),
    )
    op.create_index("ix_entry_source_kind", "entry", ["source", "kind"])
    problem = sa.column("problem").is_not(None)
    op.create_index(
        "ix_desired_user_problem", "desired_user", ["entry_id"], sqlite_where=problem, postgresql_where=problem
    )
