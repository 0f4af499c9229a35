"""Which entries of several sources are one person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "person_key",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_person_key_entry_id")),
        sa.PrimaryKeyConstraint("key", "entry_id", name=op.f("pk_person_key")),
    )
    op.create_index(op.f("ix_person_key_entry_id"), "person_key", ["entry_id"])
    op.create_table(
        "same_person",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("leader_id", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_same_person_entry_id")),
        sa.ForeignKeyConstraint(["leader_id"], ["entry.id"], name=op.f("fk_same_person_leader_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_same_person")),
    )
    op.create_index(op.f("ix_same_person_leader_id"), "same_person", ["leader_id"])
    problem = sa.column("problem").is_not(None)
    op.create_index(
        "ix_same_person_problem", "same_person", ["entry_id"], sqlite_where=problem, postgresql_where=problem
    )
