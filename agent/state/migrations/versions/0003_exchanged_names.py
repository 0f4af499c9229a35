"""Which names may be those of nested groups that went out of sight."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "exchanged_name",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lost", sa.Text(), nullable=False),
        sa.Column("new", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["entry.id"], name=op.f("fk_exchanged_name_group_id")),
        sa.PrimaryKeyConstraint("group_id", "lost", "new", name=op.f("pk_exchanged_name")),
    )
