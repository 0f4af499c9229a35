"""What the guard has to know: who is protected by name, what was held, what was taken away lately, and since when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns and the tables. Since when somebody has been inactive is not known; it counts from now."""
    for table in ("ledger_user", "ledger_group"):
        op.add_column(table, sa.Column("guarded", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("ledger_user", sa.Column("deactivated_at", sa.DateTime(timezone=True)))
    op.add_column("desired_group", sa.Column("whole", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("rejected", sa.Column("last_at", sa.DateTime(timezone=True)))
    op.add_column("ledger_group", sa.Column("left_at", sa.DateTime(timezone=True)))
    guarded = sa.column("guarded", sa.Boolean()) == sa.true()
    op.create_index(
        "ix_ledger_user_guarded", "ledger_user", ["entry_id"], sqlite_where=guarded, postgresql_where=guarded
    )
    op.create_index("ix_ledger_user_user_name_key", "ledger_user", ["user_name_key"])
    known = sa.column("deactivated_at").is_not(None)
    op.create_index(
        "ix_ledger_user_deactivated", "ledger_user", ["deactivated_at"], sqlite_where=known, postgresql_where=known
    )
    held = sa.table("ledger_user", sa.column("active", sa.Boolean()), sa.column("deactivated_at"))
    op.execute(held.update().where(held.c.active.is_(sa.false())).values(deactivated_at=sa.func.current_timestamp()))
    op.create_table(
        "held_plan",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removals", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_held_plan")),
    )
    op.create_table(
        "spending",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spending")),
    )
    op.create_index("ix_spending_of", "spending", ["kind", "group_id", "at"])
