"""Pushing some operations to a service, for tests of the push."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from agent.plan.operations import (
    Address,
    CreateUser,
    Operation,
    Phase,
    Subject,
)
from agent.state.database import State, open_state
from agent.state.tables import entry, ledger_user
from agent.upstream.ledger import Ledger
from agent.upstream.push import Outcome, Push, PushReport
from agent.upstream.service import Service
from tests.servers.scim_service import Request, ScimService


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    with opened.write() as connection:
        row = {"source": "s", "kind": "user", "dn": "d", "active": True, "attributes": "{}", "members_complete": True}
        row |= {"digest": "", "present": True, "last_seen": 1, "gone_evidence": None}
        connection.execute(insert(entry), [row | {"anchor": f"a{number}"} for number in range(1, 400)])
    yield opened
    opened.close()


def service_of(scim: ScimService, **changes: object) -> Service:
    values: dict[str, object] = {"url": scim.url, "token": SecretStr(scim.token), "attempts": 4, "workers": 4}
    return Service(**(values | changes))  # type: ignore[arg-type]


def create(number: int, *, attempted: bool = False) -> CreateUser:
    payload = {"userName": f"u{number}@example.com", "externalId": f"a{number}", "active": True}
    address = Address(f"u{number}@example.com", "example.com")
    return CreateUser(Subject(number, f"u{number}"), payload, f"digest {number}", attempted, address)


def push(
    state: State,
    service: Service,
    phases: dict[Phase, list[Operation]],
    *,
    stop: threading.Event | None = None,
    outcomes: list[Outcome] | None = None,
) -> PushReport:
    collected = [] if outcomes is None else outcomes
    pushing = Push(service, Ledger(state), stop or threading.Event(), collected.append)
    return pushing.run(lambda phase: iter(phases.get(phase, [])), removals_allowed=True)


def recorded(state: State) -> set[int]:
    with state.read() as connection:
        return set(connection.execute(select(ledger_user.c.entry_id)).scalars())


def posts(scim: ScimService) -> list[Request]:
    return [request for request in scim.requests if request.method == "POST"]
