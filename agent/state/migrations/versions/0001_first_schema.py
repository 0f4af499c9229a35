"""The first schema.

A migration is history: it says what the tables were, not what agent/state/tables says today.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "approval",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_approval")),
    )
    op.create_table(
        "cycle",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cycle")),
    )
    op.create_index(op.f("ix_cycle_started_at"), "cycle", ["started_at"], unique=False)
    op.create_table(
        "entry",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("anchor", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("dn", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("members_complete", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("last_seen", sa.Integer(), nullable=False),
        sa.Column("gone_evidence", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
        sa.UniqueConstraint("source", "anchor", name=op.f("uq_entry_source_anchor")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_entry_source_last_seen"), "entry", ["source", "last_seen"], unique=False)
    op.create_table(
        "fact",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fact")),
    )
    op.create_table(
        "source",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("read_number", sa.Integer(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("server", sa.Text(), nullable=True),
        sa.Column("last_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_complete_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completeness", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_source")),
    )
    op.create_table(
        "create_attempt",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_create_attempt_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_create_attempt")),
    )
    op.create_table(
        "desired_group",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("display_name_key", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("members_complete", sa.Boolean(), nullable=False),
        sa.Column("unresolved", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_desired_group_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_desired_group")),
    )
    op.create_index(op.f("ix_desired_group_display_name_key"), "desired_group", ["display_name_key"], unique=False)
    op.create_table(
        "desired_member",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["entry.id"], name=op.f("fk_desired_member_group_id")),
        sa.ForeignKeyConstraint(["user_id"], ["entry.id"], name=op.f("fk_desired_member_user_id")),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_desired_member")),
    )
    op.create_index(op.f("ix_desired_member_user_id"), "desired_member", ["user_id"], unique=False)
    op.create_table(
        "desired_user",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("user_name_key", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("provisioned", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_desired_user_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_desired_user")),
    )
    op.create_index(op.f("ix_desired_user_user_name_key"), "desired_user", ["user_name_key"], unique=False)
    op.create_table(
        "ledger_group",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scim_id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("in_doubt", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_ledger_group_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger_group")),
        sa.UniqueConstraint("scim_id", name=op.f("uq_ledger_group_scim_id")),
    )
    op.create_table(
        "ledger_member",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["entry.id"], name=op.f("fk_ledger_member_group_id")),
        sa.ForeignKeyConstraint(["user_id"], ["entry.id"], name=op.f("fk_ledger_member_user_id")),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_ledger_member")),
    )
    op.create_index(op.f("ix_ledger_member_user_id"), "ledger_member", ["user_id"], unique=False)
    op.create_table(
        "ledger_user",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scim_id", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(length=20), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_ledger_user_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_ledger_user")),
        sa.UniqueConstraint("scim_id", name=op.f("uq_ledger_user_scim_id")),
    )
    op.create_table(
        "mark",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("references_too", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_mark_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_mark")),
    )
    op.create_table(
        "membership",
        sa.Column("group_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["entry.id"], name=op.f("fk_membership_group_id")),
        sa.PrimaryKeyConstraint("group_id", "kind", "value", name=op.f("pk_membership")),
    )
    op.create_index(op.f("ix_membership_kind_value"), "membership", ["kind", "value"], unique=False)
    op.create_table(
        "name",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("former_since", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_name_entry_id")),
        sa.PrimaryKeyConstraint("kind", "value", "entry_id", name=op.f("pk_name")),
    )
    op.create_index(op.f("ix_name_entry_id"), "name", ["entry_id"], unique=False)
    op.create_table(
        "rejected",
        sa.Column("entry_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_rejected_entry_id")),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_rejected")),
    )
