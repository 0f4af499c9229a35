"""The mirror: what the sources hold, as of their checkpoints (agent/directory).

An entry keeps its row, and with it its number, when the directory loses it (`present` becomes
false): the ledger refers to that number, so a person who returns under the same anchor is the same account again.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, String, Table, Text, UniqueConstraint, false

from agent.state.tables.base import UtcDateTime, entry_number, metadata

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
    Column("old_list", Boolean, nullable=False, server_default="0"),  # of before a restore: it counts for nothing
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
    entry_number(),
    Column("former_since", Integer),  # the read that found the entry without this name; null: it has it now
    Index(None, "entry_id"),
)

membership = Table(
    "membership",
    metadata,
    entry_number("group_id"),
    Column("kind", String(20), primary_key=True),
    Column("value", Text, primary_key=True),
    Index(None, "kind", "value"),
)

exchanged_name = Table(
    "exchanged_name",
    metadata,
    entry_number("group_id"),
    Column("lost", Text, primary_key=True),  # the DN of a nested group that is out of sight
    Column("new", Text, primary_key=True),  # a DN that came into the list when that one left it; nobody has it
)

mark = Table(
    "mark",
    metadata,
    entry_number(),
    Column("references_too", Boolean, nullable=False),  # the groups that name this entry must be resolved again
)
