"""Cycles, what the guard held and let through, and what is told of it (agent/cycle, agent/plan, agent/observe)."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from agent.state.tables.base import UtcDateTime, metadata

cycle = Table(
    "cycle",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("exit_code", Integer),
    Column("seconds", Float),
    Column("report", Text, nullable=False),  # JSON, as `rollcall sync --json` prints it
    Column("records", Integer),  # of the audit trail that it has begun; null: not known
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
