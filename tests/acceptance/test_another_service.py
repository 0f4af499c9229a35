"""The address of the upstream changes: the same service under another name, or another one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}
ALL = people(3) + group("app-a", *uids(3))
EVERYBODY = {f"u{number}@example.com" for number in range(3)}


@pytest.fixture
def other() -> Iterator[ScimService]:
    with ScimService() as service:
        yield service


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(ALL)
    agent.sync()
    return agent


def test_another_service_gets_everybody(ready: Agent, other: ScimService) -> None:
    ready.configure(other, guard=OPEN)

    report = ready.sync()

    assert report["exit_code"] == 0
    assert other.membership() == {"app-a": EVERYBODY}
    assert ready.sync()["counts"]["writes"] == 0


def test_on_another_service_strangers_with_the_same_ids_are_not_touched(
    ready: Agent, scim: ScimService, other: ScimService
) -> None:
    for scim_id in scim.users:
        other.users[scim_id] = {"id": scim_id, "userName": f"stranger-{scim_id}", "active": True, "schemas": []}
    for group_id in scim.groups:
        strangers = [{"value": scim_id} for scim_id in scim.users]
        other.groups[group_id] = {"id": group_id, "displayName": "strangers", "members": strangers, "schemas": []}
    ready.configure(other, guard=OPEN)
    ready.ldif.write_text(people(2) + group("app-a", *uids(2)))

    ready.sync()
    ready.sync()

    strangers_now = [user for user in other.users.values() if str(user["userName"]).startswith("stranger-")]
    assert [user["active"] for user in strangers_now] == [True] * 3
    assert other.membership()["strangers"] == {user["userName"] for user in strangers_now}
    assert other.membership()["app-a"] == {"u0@example.com", "u1@example.com"}
    assert [
        r for r in other.requests if r.method in {"PUT", "PATCH", "DELETE"} and r.path.split("/")[-1] in scim.users
    ] == []


def test_the_same_service_under_another_name_keeps_what_was_known(ready: Agent, scim: ScimService) -> None:
    ids = set(scim.users)
    ready.ldif.write_text(people(2) + group("app-a", *uids(2)))
    moved = type("Moved", (), {"url": scim.url.replace("127.0.0.1", "localhost"), "token": scim.token})()
    ready.configure(moved, guard=OPEN)

    ready.sync()

    assert set(scim.users) == ids
    assert scim.active() == {"u0@example.com", "u1@example.com"}
    assert scim.membership() == {"app-a": {"u0@example.com", "u1@example.com"}}


def test_nothing_is_sent_to_another_service_that_cannot_be_looked_at(ready: Agent, other: ScimService) -> None:
    other.faults.append(Fault(lambda r: r.method == "GET", times=999, status=500))
    ready.configure(other, guard=OPEN)

    report = ready.sync()

    assert report["exit_code"] == 5
    assert [request for request in other.requests if request.method != "GET"] == []
    other.faults.clear()
    assert ready.sync()["exit_code"] == 0
    assert other.membership() == {"app-a": EVERYBODY}
