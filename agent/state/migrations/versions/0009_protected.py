"""By which line of [guard] protected an entry is protected, from when it was first named on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table. Who is protected already is taken up when everything is compared after the upgrade."""
    op.create_table(
        "guarded_entry",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_guarded_entry_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", "line", name=op.f("pk_guarded_entry")),
    )
