"""What is known of external users: what the policy makes of them, who decided, and the addresses they have upstream."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns and the tables. Addresses upstream are taken from what was last wanted there."""
    added: dict[str, list[sa.Column[Any]]] = {
        "desired_user": [_flag("withdrawn"), sa.Column("held_back", sa.Text()), _flag("awaits"), _flag("protected")],
        "desired_group": [sa.Column("rule", sa.String(length=20))],
        "desired_member": [_flag("provisioned", default=sa.true()), _flag("withdrawn")],
        "rejected": [_flag("final")],
        "ledger_user": [
            sa.Column("email", sa.Text(), server_default="", nullable=False),
            sa.Column("domain", sa.Text(), server_default="", nullable=False),
            _flag("external"),
            _flag("protected"),
            sa.Column("account_number", sa.Text()),
            sa.Column("unlinked_at", sa.DateTime(timezone=True)),
        ],
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)
    held_back = sa.column("held_back").is_not(None)
    op.create_index(
        "ix_desired_user_held_back",
        "desired_user",
        ["held_back"],
        sqlite_where=held_back,
        postgresql_where=held_back,
    )
    op.create_index("ix_ledger_user_domain", "ledger_user", ["domain"])
    for name, rows in {
        "protected": sa.column("protected", sa.Boolean()) == sa.true(),
        "unlinked": sa.column("unlinked_at").is_not(None),
    }.items():
        op.create_index(f"ix_ledger_user_{name}", "ledger_user", ["entry_id"], sqlite_where=rows, postgresql_where=rows)
    # An address that is not known is left empty, and concluded nothing from.
    op.execute(
        "UPDATE ledger_user SET email = coalesce("
        "(SELECT email FROM desired_user WHERE desired_user.entry_id = ledger_user.entry_id AND problem IS NULL), "
        "CASE WHEN user_name LIKE '%@%' THEN user_name ELSE '' END)"
    )
    # Whoever was external and not provisioned was skipped: so it ran without external users.
    op.execute(
        "INSERT INTO fact (name, value) SELECT 'external users last left out at', '1970-01-01T00:00:00+00:00' "
        "WHERE EXISTS (SELECT 1 FROM desired_user WHERE external AND NOT provisioned)"
    )
    op.create_table(
        "decision",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("verb", sa.String(length=20), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("list_digest", sa.String(length=64), nullable=False),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_table(
        "decided_user",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("decision_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_decided_user_entry_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_decided_user_decision_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_decided_user")),
    )
    op.create_table(
        "former_account",
        sa.Column("scim_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_former_account_entry_id")),
        sa.PrimaryKeyConstraint("scim_id", name=op.f("pk_former_account")),
    )
    op.create_index("ix_former_account_entry_id", "former_account", ["entry_id"])
    op.create_table(
        "former_member",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scim_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["entry.id"], name=op.f("fk_former_member_group_id")),
        sa.ForeignKeyConstraint(["scim_id"], ["former_account.scim_id"], name=op.f("fk_former_member_scim_id")),
        sa.PrimaryKeyConstraint("group_id", "scim_id", name=op.f("pk_former_member")),
    )
    op.create_index("ix_former_member_scim_id", "former_member", ["scim_id"])


def _flag(name: str, *, default: sa.sql.ColumnElement[bool] | None = None) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), server_default=sa.false() if default is None else default, nullable=False)
