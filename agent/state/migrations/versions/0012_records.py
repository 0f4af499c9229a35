"""How many records of the audit trail a cycle has begun, which tells a back-up made in the middle of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column. Of the cycles before, nothing is known."""
    op.add_column("cycle", sa.Column("records", sa.Integer()))
