"""Names and addresses compare in one spelling; who led whom is remembered; accounts of blocked domains are known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from agent.domain_names import address_key

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns and the table, and work out the spellings of what is there."""
    op.create_table(
        "former_leader",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("leader_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_former_leader_entry_id")),
        sa.ForeignKeyConstraint(["leader_id"], ["entry.id"], name=op.f("fk_former_leader_leader_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_former_leader")),
    )
    op.add_column("ledger_user", sa.Column("user_name_key", sa.Text(), server_default="", nullable=False))
    op.add_column("ledger_user", sa.Column("email_key", sa.Text(), server_default="", nullable=False))
    op.add_column("ledger_user", sa.Column("blocked", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("desired_user", sa.Column("email_key", sa.Text()))
    # No database folds letters beyond ASCII as Python does, so it is done here.
    desired, held = (
        sa.table(name, sa.column("entry_id"), sa.column("user_name"), sa.column("user_name_key"), sa.column("email"),
                 sa.column("email_key"))
        for name in ("desired_user", "ledger_user")
    )  # fmt: skip
    connection = op.get_bind()
    for row in connection.execute(sa.select(held.c.entry_id, held.c.user_name, held.c.email)).all():
        values = {"user_name_key": row.user_name.casefold(), "email_key": address_key(row.email)}
        connection.execute(held.update().where(held.c.entry_id == row.entry_id).values(**values))
    for wanted in connection.execute(sa.select(desired.c.entry_id, desired.c.email)).all():
        key = address_key(wanted.email or "")
        connection.execute(desired.update().where(desired.c.entry_id == wanted.entry_id).values(email_key=key))
