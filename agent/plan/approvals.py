"""Approvals: somebody has seen what is held, and lets exactly that through, once, within a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from agent.plan.operations import Operation
from agent.plan.removals import in_words
from agent.state.database import State, batched, upsert
from agent.state.tables import approval, former_account, held_plan, ledger_user

_KEPT = timedelta(days=90)
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Changed:
    """What has come to a plan that was held before, and what has gone from it; in words."""

    more: tuple[str, ...]
    fewer: tuple[str, ...]


def approve(connection: Connection, digest: str, by: str, valid: timedelta) -> datetime:
    """Record that removals with this digest may be carried out once. Returns until when."""
    now = datetime.now(UTC)
    row = {"digest": digest, "approved_at": now, "approved_by": by, "expires_at": now + valid, "used_at": None}
    upsert(connection, approval, [row])
    return now + valid


def approved(connection: Connection, digest: str) -> bool:
    """Tell whether a valid and unused approval names this digest."""
    row = connection.execute(select(approval).where(approval.c.digest == digest)).first()
    # One of the future was given by a clock that was ahead: it would be valid for as long as that.
    return row is not None and row.used_at is None and row.approved_at <= datetime.now(UTC) < row.expires_at


def approver_of(connection: Connection, digest: str) -> str:
    """Return who let this through."""
    return str(connection.execute(select(approval.c.approved_by).where(approval.c.digest == digest)).scalar_one())


def use_approval(state: State, digest: str) -> None:
    """An approval is for one plan, once: it is used up as soon as any of it has been carried out."""
    unused = approval.c.digest == digest, approval.c.used_at.is_(None)
    with state.read() as reader:
        if reader.execute(select(approval.c.digest).where(*unused)).first() is None:
            return
    with state.write() as transaction:
        transaction.execute(update(approval).where(*unused).values(used_at=datetime.now(UTC)))


def void_approvals(connection: Connection) -> None:
    """Let no approval of a restored state count: it may have been used since."""
    connection.execute(update(approval).where(approval.c.used_at.is_(None)).values(used_at=datetime.now(UTC)))


def remember_held(connection: Connection, digest: str, removals: Sequence[Operation]) -> None:
    """Keep what was held under this digest, for an administrator who comes with it later."""
    now = datetime.now(UTC)
    row = {"digest": digest, "held_at": now, "removals": json.dumps(in_words(removals, _names(connection, removals)))}
    upsert(connection, held_plan, [row])
    connection.execute(delete(held_plan).where(held_plan.c.held_at < now - _KEPT))


def changed_since(connection: Connection, digest: str, removals: Sequence[Operation]) -> Changed | None:
    """Compare what is held now with what was held under another digest. None: nothing was."""
    text = connection.execute(select(held_plan.c.removals).where(held_plan.c.digest == digest)).scalar()
    if text is None:
        return None
    before, now = set(json.loads(text)), set(in_words(removals, _names(connection, removals)))
    return Changed(tuple(sorted(now - before)), tuple(sorted(before - now)))


def _names(connection: Connection, removals: Sequence[Operation]) -> dict[str, str]:
    """Return the user names of the members that are removed, by SCIM id."""
    ids = [member.scim_id for removal in removals for member in getattr(removal, "members", ())]
    names: dict[str, str] = {}
    for some in batched(ids, _BATCH):
        for table in (former_account, ledger_user):
            rows = connection.execute(select(table.c.scim_id, table.c.user_name).where(table.c.scim_id.in_(some)))
            names |= {row.scim_id: row.user_name for row in rows}
    return names
