"""Every table of the state. The rooms that own them are named in the headings; the schema is made by migrations/.

An entry of the mirror keeps its row, and with it its number, when the directory loses it (`present` becomes
false): the ledger refers to that number, so a person who returns under the same anchor is the same account again.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    true,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always with its zone: SQLite stores none and would give back a naive time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time back in UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _entry_number(name: str = "entry_id") -> Column[int]:
    return Column(name, Integer, ForeignKey("entry.id"), primary_key=True, autoincrement=False)


# --- agent/directory: the mirror -------------------------------------------------------------------------------

source = Table(
    "source",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("read_number", Integer, nullable=False),  # counts the reads; entries remember the last that saw them
    Column("checkpoint", Text),
    Column("fingerprint", Text),  # of the settings the checkpoint was made with
    Column("server", Text),
    Column("last_read_at", UtcDateTime),
    Column("last_complete_at", UtcDateTime),  # the last read that was FULL and COMPLETE
    Column("completeness", String(20)),
    Column("reason", Text, nullable=False, server_default=""),
    Column("unreadable", Integer, nullable=False, server_default="0"),
    Column("owes_full", Boolean, nullable=False, server_default=false()),  # a FULL read is due until one is COMPLETE
    Column("note", Text, nullable=False, server_default=""),  # how it was read
    # The last read that was COMPLETE, whatever its extent; of a source that never was, the first attempt.
    Column("fresh_at", UtcDateTime),
)

entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("source", String(200), nullable=False),
    Column("anchor", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("dn", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("attributes", Text, nullable=False),  # JSON: type → list of values
    Column("members_complete", Boolean, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("present", Boolean, nullable=False),
    Column("last_seen", Integer, nullable=False),  # source.read_number of the last read that mentioned it
    Column("content_read", Integer, nullable=False, server_default="0"),  # of the last read that brought its content
    Column("gone_evidence", Text),
    UniqueConstraint("source", "anchor"),
    Index(None, "source", "last_seen"),
    Index("ix_entry_source_kind", "source", "kind"),  # every read asks whether a kind is there at all
    sqlite_autoincrement=True,  # a number is never given to another entry
)

unreadable = Table(
    "unreadable",
    metadata,
    Column("source", String(200), primary_key=True),
    Column("anchor", String(200), primary_key=True),
    Column("dn", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("last_seen", Integer, nullable=False),
)

name = Table(
    "name",
    metadata,
    Column("kind", String(20), primary_key=True),
    Column("value", Text, primary_key=True),
    _entry_number(),
    Column("former_since", Integer),  # the read that found the entry without this name; null: it has it now
    Index(None, "entry_id"),
)

membership = Table(
    "membership",
    metadata,
    _entry_number("group_id"),
    Column("kind", String(20), primary_key=True),
    Column("value", Text, primary_key=True),
    Index(None, "kind", "value"),
)

exchanged_name = Table(
    "exchanged_name",
    metadata,
    _entry_number("group_id"),
    Column("lost", Text, primary_key=True),  # the DN of a nested group that is out of sight
    Column("new", Text, primary_key=True),  # a DN that came into the list when that one left it; nobody has it
)

mark = Table(
    "mark",
    metadata,
    _entry_number(),
    Column("references_too", Boolean, nullable=False),  # the groups that name this entry must be resolved again
)

# --- agent/population: the desired state -----------------------------------------------------------------------

person_key = Table(
    "person_key",
    metadata,
    Column("key", Text, primary_key=True),  # what a template of [same_person] by gives for an entry that is there
    _entry_number(),
    Column("source", String(200), nullable=False),  # that of the entry
    Index(None, "entry_id"),
)

same_person = Table(
    "same_person",  # the entries of persons who have several
    metadata,
    _entry_number(),
    Column("leader_id", Integer, ForeignKey("entry.id"), nullable=False),  # the entry that stands for the person
    Column("problem", Text),  # why nobody can tell who is who
    Index(None, "leader_id"),
)

former_leader = Table(
    "former_leader",  # who led an entry that is a person of its own now: should they be one again, the same leads
    metadata,
    _entry_number(),
    Column("leader_id", Integer, ForeignKey("entry.id"), nullable=False),
)
Index(
    "ix_same_person_problem",
    same_person.c.entry_id,
    sqlite_where=same_person.c.problem.is_not(None),
    postgresql_where=same_person.c.problem.is_not(None),
)

desired_user = Table(
    "desired_user",
    metadata,
    _entry_number(),
    Column("user_name", Text),
    Column("user_name_key", Text),  # userName compares without case (RFC 7643, 4.1.1)
    Column("email", Text),
    Column("email_key", Text),  # the same for all spellings of one address
    Column("domain", Text, nullable=False),
    Column("external", Boolean, nullable=False),
    Column("provisioned", Boolean, nullable=False),  # False where the policy wants this user in none of the groups
    Column("withdrawn", Boolean, nullable=False, server_default=false()),  # not even upstream, if it stands there
    Column("held_back", Text),  # why it is not provisioned
    Column("awaits", Boolean, nullable=False, server_default=false()),  # somebody's decision would let it through
    Column("protected", Boolean, nullable=False, server_default=false()),
    Column("active", Boolean, nullable=False),
    Column("payload", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("problem", Text),  # why this user cannot be pushed, whatever the upstream would say
    Index(None, "user_name_key"),
)
# Every cycle tells of those that cannot be pushed; there are few of them.
Index(
    "ix_desired_user_problem",
    desired_user.c.entry_id,
    sqlite_where=desired_user.c.problem.is_not(None),
    postgresql_where=desired_user.c.problem.is_not(None),
)
# So it does of those that are held back.
Index(
    "ix_desired_user_held_back",
    desired_user.c.held_back,
    sqlite_where=desired_user.c.held_back.is_not(None),
    postgresql_where=desired_user.c.held_back.is_not(None),
)

desired_group = Table(
    "desired_group",
    metadata,
    _entry_number(),
    Column("display_name", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("members_complete", Boolean, nullable=False),  # whoever is not listed, here or in a nested one, has left
    Column("whole", Boolean, nullable=False, server_default=true()),  # this list and every nested one was read
    Column("unresolved", Integer, nullable=False),  # members that no source can name
    Column("problem", Text),
    Column("display_name_key", Text, nullable=False),
    Column("rule", String(20)),  # what [external] groups says of it
    Index(None, "display_name_key"),
)

desired_member = Table(
    "desired_member",
    metadata,
    _entry_number("group_id"),
    _entry_number("user_id"),
    Column("provisioned", Boolean, nullable=False, server_default=true()),  # the policy wants it upstream
    Column("withdrawn", Boolean, nullable=False, server_default=false()),  # the policy wants it gone from there
    Index(None, "user_id"),
)

decision = Table(
    "decision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("verb", String(20), nullable=False),  # opt-in or withdraw
    Column("decided_at", UtcDateTime, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("list_digest", String(64), nullable=False),  # of the external users that were shown
    Column("users", Integer, nullable=False),
)

decided_user = Table(
    "decided_user",
    metadata,
    _entry_number(),
    Column("decision_id", Integer, ForeignKey("decision.id"), nullable=False),
)

# --- agent/upstream: the ledger --------------------------------------------------------------------------------

ledger_user = Table(
    "ledger_user",
    metadata,
    _entry_number(),
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
    _entry_number("group_id"),
    Column("scim_id", Text, ForeignKey("former_account.scim_id"), primary_key=True),
    Index(None, "scim_id"),
)

ledger_group = Table(
    "ledger_group",
    metadata,
    _entry_number(),
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
    _entry_number("group_id"),
    _entry_number("user_id"),
    Index(None, "user_id"),
)

create_attempt = Table(
    "create_attempt",
    metadata,
    _entry_number(),
    Column("started_at", UtcDateTime, nullable=False),
)

rejected = Table(
    "rejected",
    metadata,
    _entry_number(),
    Column("operation", String(40), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # of what was refused; something else is tried at once
    Column("first_at", UtcDateTime, nullable=False),
    Column("next_attempt_at", UtcDateTime, nullable=False),
    Column("final", Boolean, nullable=False, server_default=false()),  # the same would be refused again
    Column("last_at", UtcDateTime),
)

# --- agent/cycle, agent/plan ------------------------------------------------------------------------------------

cycle = Table(
    "cycle",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("exit_code", Integer),
    Column("seconds", Float),
    Column("report", Text, nullable=False),  # JSON, as `rollcall sync --json` prints it
    Index(None, "started_at"),
)

approval = Table(
    "approval",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("approved_at", UtcDateTime, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)

# The removals of a plan that the guard held back, so that a later plan can be compared with it.
held_plan = Table(
    "held_plan",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("held_at", UtcDateTime, nullable=False),
    Column("removals", Text, nullable=False),  # JSON: a line for each, in words
)

# What was taken away without an approval; see agent/plan/budget.py.
spending = Table(
    "spending",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),  # users, groups or members
    Column("group_id", Integer, nullable=False),  # of the members; else 0
    Column("number", Integer, nullable=False),
    Index("ix_spending_of", "kind", "group_id", "at"),
)

fact = Table(
    "fact",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("value", Text, nullable=False),
)

# --- agent/observe -----------------------------------------------------------------------------------------------

# The audit record of what is being written upstream, until the outcome is in the audit trail.
pending_write = Table(
    "pending_write",
    metadata,
    Column("cycle_id", String(40), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the operation, in that cycle
    Column("record", Text, nullable=False),  # JSON
)

# What is wrong now, and whom it was told.
trouble = Table(
    "trouble",
    metadata,
    Column("cause", String(300), primary_key=True),
    Column("channel", String(20), primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("text", Text, nullable=False),  # what was, or is to be, told
    Column("version", String(100), nullable=False),  # of what was told; another version is told again
    Column("told_at", UtcDateTime),
)
