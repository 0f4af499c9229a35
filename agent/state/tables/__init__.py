"""Every table of the state, by the rooms that own them. The schema is made by agent/state/migrations."""

from __future__ import annotations

from agent.state.tables.base import UtcDateTime, metadata
from agent.state.tables.desired import (
    decided_user,
    decision,
    desired_group,
    desired_member,
    desired_user,
    former_leader,
    person_key,
    same_person,
)
from agent.state.tables.ledger import (
    create_attempt,
    former_account,
    former_member,
    guarded_entry,
    ledger_group,
    ledger_member,
    ledger_user,
    rejected,
)
from agent.state.tables.mirror import entry, exchanged_name, mark, membership, name, source, unreadable
from agent.state.tables.work import approval, cycle, fact, held_plan, pending_write, spending, trouble

__all__ = [
    "UtcDateTime",
    "approval",
    "create_attempt",
    "cycle",
    "decided_user",
    "decision",
    "desired_group",
    "desired_member",
    "desired_user",
    "entry",
    "exchanged_name",
    "fact",
    "former_account",
    "former_leader",
    "former_member",
    "guarded_entry",
    "held_plan",
    "ledger_group",
    "ledger_member",
    "ledger_user",
    "mark",
    "membership",
    "metadata",
    "name",
    "pending_write",
    "person_key",
    "rejected",
    "same_person",
    "source",
    "spending",
    "trouble",
    "unreadable",
]
