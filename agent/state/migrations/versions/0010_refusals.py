"""What was refused is kept for each operation of an object, and a create that was begun under the name it had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Widen the key, and add the column.

    What waits until somebody asks for it is a create, whatever found out that the account is gone.
    """
    with op.batch_alter_table("rejected") as table:
        table.drop_constraint(op.f("pk_rejected"), type_="primary")
        table.create_primary_key(op.f("pk_rejected"), ["entry_id", "operation"])
    op.add_column("create_attempt", sa.Column("name", sa.Text(), server_default="", nullable=False))
    held = sa.table("rejected", sa.column("operation", sa.String()), sa.column("digest", sa.String()))
    op.execute(held.update().where(held.c.digest == "*").values(operation="create user"))
