"""The desired state: who is to stand upstream, as what, and in which groups (agent/population)."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, false, true

from agent.state.tables.base import UtcDateTime, entry_number, metadata

person_key = Table(
    "person_key",
    metadata,
    Column("key", Text, primary_key=True),  # what a template of [same_person] by gives for an entry that is there
    entry_number(),
    Column("source", String(200), nullable=False),  # that of the entry
    Index(None, "entry_id"),
)

same_person = Table(
    "same_person",  # the entries of persons who have several
    metadata,
    entry_number(),
    Column("leader_id", Integer, ForeignKey("entry.id"), nullable=False),  # the entry that stands for the person
    Column("problem", Text),  # why nobody can tell who is who
    Index(None, "leader_id"),
)

former_leader = Table(
    "former_leader",  # who led an entry that is a person of its own now: should they be one again, the same leads
    metadata,
    entry_number(),
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
    entry_number(),
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
    entry_number(),
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
    entry_number("group_id"),
    entry_number("user_id"),
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
    entry_number(),
    Column("decision_id", Integer, ForeignKey("decision.id"), nullable=False),
)
