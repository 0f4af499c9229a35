"""The ledger: what the upstream holds as far as the agent knows (agent/upstream)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, false, true

from agent.state.tables.base import UtcDateTime, entry_number, metadata

ledger_user = Table(
    "ledger_user",
    metadata,
    entry_number(),
    Column("scim_id", Text, nullable=False, unique=True),
    Column("user_name", Text, nullable=False),
    Column("user_name_key", Text, nullable=False, server_default=""),  # as in desired_user
    Column("digest", String(64), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("origin", String(20), nullable=False),  # created or adopted
    Column("acknowledged_at", UtcDateTime, nullable=False),
    # The address it has upstream, and where that stands by today's policy.
    Column("email", Text, nullable=False, server_default=""),
    Column("email_key", Text, nullable=False, server_default=""),
    Column("domain", Text, nullable=False, server_default=""),
    Column("external", Boolean, nullable=False, server_default=false()),
    Column("protected", Boolean, nullable=False, server_default=false()),
    Column("blocked", Boolean, nullable=False, server_default=false()),
    Column("guarded", Boolean, nullable=False, server_default=false()),  # named in [guard] protected
    Column("deactivated_at", UtcDateTime),  # since when the agent has it inactive
    Column("account_number", Text),  # the vendor's own number of the account, since it was seen
    Column("unlinked_at", UtcDateTime),  # when that number was found missing
    Index(None, "domain"),
    Index(None, "user_name_key"),
)
Index(
    "ix_ledger_user_protected",
    ledger_user.c.entry_id,
    # Written out: SQLite takes an index on some rows only for a condition with the same words.
    sqlite_where=ledger_user.c.protected == true(),
    postgresql_where=ledger_user.c.protected == true(),
)
Index(
    "ix_ledger_user_guarded",
    ledger_user.c.entry_id,
    sqlite_where=ledger_user.c.guarded == true(),
    postgresql_where=ledger_user.c.guarded == true(),
)
Index(
    "ix_ledger_user_deactivated",
    ledger_user.c.deactivated_at,
    sqlite_where=ledger_user.c.deactivated_at.is_not(None),
    postgresql_where=ledger_user.c.deactivated_at.is_not(None),
)
Index(
    "ix_ledger_user_unlinked",
    ledger_user.c.entry_id,
    sqlite_where=ledger_user.c.unlinked_at.is_not(None),
    postgresql_where=ledger_user.c.unlinked_at.is_not(None),
)

# An account whose place another one has taken: its memberships are removed, and it is not kept up any more.
former_account = Table(
    "former_account",
    metadata,
    Column("scim_id", Text, primary_key=True),
    Column("entry_id", Integer, ForeignKey("entry.id"), nullable=False),
    Column("user_name", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("external", Boolean, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("replaced_at", UtcDateTime, nullable=False),
    Index(None, "entry_id"),
)

former_member = Table(
    "former_member",
    metadata,
    entry_number("group_id"),
    Column("scim_id", Text, ForeignKey("former_account.scim_id"), primary_key=True),
    Index(None, "scim_id"),
)

ledger_group = Table(
    "ledger_group",
    metadata,
    entry_number(),
    Column("scim_id", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("in_doubt", Boolean, nullable=False),  # a change of members was begun and not yet confirmed
    Column("origin", String(20), nullable=False),
    Column("acknowledged_at", UtcDateTime, nullable=False),
    Column("guarded", Boolean, nullable=False, server_default=false()),  # named in [guard] protected
    Column("left_at", UtcDateTime),  # since when it is not selected any more
)

ledger_member = Table(
    "ledger_member",
    metadata,
    entry_number("group_id"),
    entry_number("user_id"),
    Index(None, "user_id"),
)

# Which line of [guard] protected names an entry, or has named it; not only of those that stand upstream.
guarded_entry = Table(
    "guarded_entry",
    metadata,
    entry_number(),
    Column("line", Text, primary_key=True),
)

create_attempt = Table(
    "create_attempt",
    metadata,
    entry_number(),
    Column("started_at", UtcDateTime, nullable=False),
    Column("name", Text, nullable=False, server_default=""),  # the userName or displayName it was sent with
)

rejected = Table(
    "rejected",
    metadata,
    entry_number(),
    Column("operation", String(40), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # of what was refused; something else is tried at once
    Column("first_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("final", Boolean, nullable=False, server_default=false()),  # the same would be refused again
    Column("last_at", UtcDateTime),
)
