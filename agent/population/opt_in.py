"""Opting in to external users, where a connection has been running without them.

Nobody is surprised by hundreds of new accounts: a connection that skipped external users creates none of them until
somebody has seen who they are and decided. A decision names who made it, when, and for which list. Decisions are
never rewritten; the last one counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Row, delete, insert, select

from agent.directory.marks import mark
from agent.population.policy import DomainPolicy
from agent.settings import Policy
from agent.state.database import batched, upsert
from agent.state.facts import write_fact
from agent.state.tables import decided_user, decision, desired_user, fact, ledger_user

OPT_IN = "opt-in"
WITHDRAW = "withdraw"
_LEFT_OUT = "external users last left out at"
_LEFT_OUT_BY = "external users last left out by"
_SETTLED = "external decision settled"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether external users may be created at all.

    withdrawn:  somebody opted in, or let them be from the start, and took that back
    reason:     why the gate is shut, with what to do
    """

    is_open: bool
    withdrawn: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided."""

    verb: str
    decided_at: datetime
    decided_by: str
    list_digest: str
    users: int


def note_policy(connection: Connection, policy: DomainPolicy) -> None:
    """Remember that this connection runs without external users, if its policy lets nobody in, or has let nobody in.

    To be asked with the desired state as this cycle leaves it.
    """
    last, left_out = last_decision(connection), _left_out_at(connection)
    known = left_out is not None and (last is None or last.decided_at < left_out)
    if known:
        return
    holds_back = policy.default is not Policy.PROVISION and _everybody_is_held_back(connection)
    if policy.leaves_everybody_out or holds_back:
        write_fact(connection, _LEFT_OUT, datetime.now(UTC).isoformat())
        write_fact(connection, _LEFT_OUT_BY, policy.digest)


def _everybody_is_held_back(connection: Connection) -> bool:
    """Tell whether there are external users, and the policy holds back every one of them."""
    held_back = desired_user.c.held_back.is_not(None), desired_user.c.external, desired_user.c.active
    if connection.execute(select(desired_user.c.entry_id).where(*held_back).limit(1)).first() is None:
        return False
    let_in = select(desired_user.c.entry_id).where(
        desired_user.c.external, desired_user.c.provisioned, desired_user.c.active
    )
    standing = select(ledger_user.c.entry_id).where(ledger_user.c.external)
    return all(connection.execute(query.limit(1)).first() is None for query in (let_in, standing))


def gate_of(connection: Connection, policy: DomainPolicy) -> Gate:
    """Tell whether external users may be created.

    Under the very rules by which nobody came in until now, whoever they let in comes in.
    """
    last, left_out = last_decision(connection), _left_out_at(connection)
    if last is not None and last.verb == WITHDRAW:
        return Gate(
            is_open=False,
            withdrawn=True,
            reason=f"external, and {last.decided_by} withdrew the opt-in to external users at "
            f"{last.decided_at:%Y-%m-%d %H:%M} UTC; to opt in again: rollcall external opt-in",
        )
    same_rules = connection.execute(select(fact.c.value).where(fact.c.name == _LEFT_OUT_BY)).scalar() == policy.digest
    if left_out is not None and (last is None or last.decided_at < left_out) and not same_rules:
        return Gate(
            is_open=False,
            reason="external, and this connection ran without external users and nobody has opted in: see "
            "rollcall external, then rollcall external opt-in",
        )
    return Gate(is_open=True)


def mark_after_decision(connection: Connection, gate: Gate) -> None:
    """Mark the external users for planning if a decision has been made, or the gate has shut, since the last cycle."""
    last = connection.execute(select(decision.c.id).order_by(decision.c.id.desc()).limit(1)).scalar()
    now = f"{last or 0}:{gate.is_open}"
    if connection.execute(select(fact.c.value).where(fact.c.name == _SETTLED)).scalar() == now:
        return
    mark(
        connection,
        connection.execute(select(desired_user.c.entry_id).where(desired_user.c.external)).scalars().all(),
        references_too=False,
    )
    write_fact(connection, _SETTLED, now)


def last_decision(connection: Connection) -> Decision | None:
    """Return the decision that counts."""
    row = connection.execute(select(decision).order_by(decision.c.id.desc()).limit(1)).first()
    return None if row is None else _decision(row)


def decisions(connection: Connection) -> list[Decision]:
    """Return every decision, the first first."""
    return [_decision(row) for row in connection.execute(select(decision).order_by(decision.c.id))]


def digest_of_list(anchors: Iterable[tuple[str, str]]) -> str:
    """Name a list of people, given as source and anchor in any order, in a few letters."""
    digest = hashlib.sha256()
    for source, anchor in sorted(anchors):
        digest.update(f"{source}\n{anchor}\n".encode())
    return digest.hexdigest()[:16]


def decide(connection: Connection, verb: str, by: str, list_digest: str, numbers: list[int]) -> Decision:
    """Record a decision about these users. Withdrawing forgets who was decided about before."""
    made = Decision(verb, datetime.now(UTC), by, list_digest, len(numbers))
    number = connection.execute(
        insert(decision).values(
            verb=verb, decided_at=made.decided_at, decided_by=by, list_digest=list_digest, users=len(numbers)
        )
    ).inserted_primary_key
    if verb == WITHDRAW:
        connection.execute(delete(decided_user))
    else:
        for some in batched(sorted(numbers), _BATCH):
            rows = [{"entry_id": entry_id, "decision_id": number[0]} for entry_id in some] if number else []
            upsert(connection, decided_user, rows)
    return made


def _left_out_at(connection: Connection) -> datetime | None:
    value = connection.execute(select(fact.c.value).where(fact.c.name == _LEFT_OUT)).scalar()
    return None if value is None else datetime.fromisoformat(value)


def _decision(row: Row[tuple[object, ...]]) -> Decision:
    return Decision(row.verb, row.decided_at, row.decided_by, row.list_digest, row.users)
