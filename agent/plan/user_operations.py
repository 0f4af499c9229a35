"""What is to be done about users that are wanted: made, or changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import orjson
from sqlalchemy import select

from agent.plan.conditions import locked, replaced
from agent.plan.locks import Locks
from agent.plan.operations import Address, CreateUser, Operation, Subject, UpdateUser
from agent.state.database import State, batched
from agent.state.tables import create_attempt, desired_user, ledger_user

_BATCH = 500


def user_operations(state: State, numbers: Sequence[int], locks: Locks) -> Iterator[Operation]:
    """Yield what makes these users as they are wanted. Whoever has no account, or gets another one, is created."""
    for some in batched(numbers, _BATCH):
        with state.read() as connection:
            rows = connection.execute(
                select(
                    desired_user,
                    ledger_user.c.scim_id,
                    create_attempt.c.started_at,
                    ledger_user.c.external.label("held_external"),
                    ledger_user.c.email.label("held_email"),
                    ledger_user.c.user_name.label("held_name"),
                    locked(locks).label("locked"),
                    replaced(locks).label("replaced"),
                )
                .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
                .outerjoin(create_attempt, create_attempt.c.entry_id == desired_user.c.entry_id)
                .where(desired_user.c.entry_id.in_(some))
                .order_by(desired_user.c.entry_id)
            ).all()
        for row in rows:
            subject = Subject(row.entry_id, row.user_name)
            payload: Mapping[str, object] = orjson.loads(row.payload)
            address = Address(row.email, row.domain, row.external, row.protected)
            if row.scim_id is None or row.replaced:
                yield CreateUser(
                    subject,
                    payload,
                    row.digest,
                    attempted=row.started_at is not None,
                    address=address,
                    locked=row.external and locks.profile,
                    by_address=row.external and locks.address,
                    replaces=row.scim_id,
                )
            else:
                theirs = locks.profile and row.held_external
                if locks.address and (row.held_external or row.external):
                    # Written otherwise, it is the same address, and the one it has is not ours to change.
                    payload = _with_names_held(payload, row.held_name, row.held_email)
                    address = replace(address, email=row.held_email or row.email)
                yield UpdateUser(
                    subject,
                    row.scim_id,
                    payload,
                    row.digest,
                    address,
                    locked=bool(row.locked),
                    reactivates=not theirs,
                )


def _with_names_held(payload: Mapping[str, object], user_name: str, email: str) -> Mapping[str, object]:
    """Keep the spelling of the names that an account has, where it differs from the one that is wanted."""
    held = dict(payload)
    if user_name and str(held["userName"]).casefold() == user_name.casefold():
        held["userName"] = user_name
    if email and "emails" in held:
        held["emails"] = [{"value": email, "type": "work", "primary": True}]
    return held
