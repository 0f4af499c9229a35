"""What was refused of an object is kept for each operation: an addition and a removal may both be refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Widen the key. What waits until somebody asks for it is a create, whatever found out that the account is gone."""
    with op.batch_alter_table("rejected") as table:
        table.drop_constraint(op.f("pk_rejected"), type_="primary")
        table.create_primary_key(op.f("pk_rejected"), ["entry_id", "operation"])
    held = sa.table("rejected", sa.column("operation", sa.String()), sa.column("digest", sa.String()))
    op.execute(held.update().where(held.c.digest == "*").values(operation="create user"))
