"""A deletion that the upstream refuses waits like everything else that is refused, and is told until it is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.state.database import open_state
from tests.acceptance.test_leavers import ALL, OPEN, WITHOUT, months_pass
from tests.agent_runner import Agent
from tests.ldif_text import group
from tests.servers.scim_service import Fault, ScimService
from tests.servers.webhook import WebhookService


@pytest.fixture(params=["Users", "Groups"])
def collection(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[403, 405, 501])
def refusing(request: pytest.FixtureRequest, scim: ScimService, collection: str) -> ScimService:
    """A service that deletes nothing of this collection."""

    def deletes(asked: object) -> bool:
        return getattr(asked, "method", "") == "DELETE" and f"/{collection}/" in getattr(asked, "path", "")

    scim.faults.append(Fault(deletes, times=1000, status=request.param, body=b'{"detail": "under legal hold"}'))
    return scim


@pytest.fixture
def due(agent: Agent, refusing: ScimService, collection: str) -> Agent:
    """Have an account, or a group, gone for so long that it is to be deleted."""
    agent.configure(refusing, guard=OPEN, leavers={"delete_after": "30d", "delete_groups_after": "30d"})
    agent.ldif.write_text(ALL + group("app-b", "u0"))
    agent.sync()
    agent.ldif.write_text(ALL if collection == "Groups" else WITHOUT + group("app-b", "u0"))
    agent.sync()
    months_pass(agent)
    return agent


def deletes(scim: ScimService) -> int:
    return sum(1 for method, _path in scim.writes() if method == "DELETE")


def scheduled_cycles(agent: Agent, number: int) -> Iterator[int]:
    """Run cycles as the daemon does, without asking for what waits. Yields the exit codes."""
    connection, state = connect(agent.configuration), open_state(agent.state)
    try:
        for _ in range(number):
            yield int(run_cycle(connection, state).exit_code)
    finally:
        state.close()


def test_it_is_not_sent_again_in_every_cycle(due: Agent, refusing: ScimService, collection: str) -> None:
    list(scheduled_cycles(due, 1))
    sent = deletes(refusing)

    codes = list(scheduled_cycles(due, 3))

    assert sent >= 1
    assert deletes(refusing) == sent
    assert codes == [1, 1, 1]
    verb = collection.lower().removesuffix("s")
    records = due.run("audit", "--verb", f"delete {verb}", "--json").document
    assert len(records) == 1


def test_it_is_shown_until_it_is_over_and_tried_when_somebody_asks(
    due: Agent, refusing: ScimService, collection: str
) -> None:
    due.sync()
    due.sync()

    (shown,) = due.run("status", "--json").document["rejected"]
    sent = deletes(refusing)
    due.sync("--full")
    asked_for = deletes(refusing) - sent
    refusing.faults.clear()
    report = due.sync()

    assert shown["operation"] == f"delete {collection.lower().removesuffix('s')}"
    assert shown["attempts"] == 2
    assert asked_for >= 1
    assert report["exit_code"] == 0
    assert due.run("status", "--json").document["rejected"] == []


@pytest.mark.parametrize("collection", ["Users"], indirect=True)
@pytest.mark.parametrize("refusing", [403], indirect=True)
def test_it_counts_towards_what_is_told(due: Agent) -> None:
    with WebhookService() as webhook:
        (due.directory / "hook").write_text(webhook.url + "\n")
        due.sections["notice"] = {"webhook_url_file": "hook", "rejected_over": 0}
        due.write()
        due.sync()

        assert webhook.causes() == [("begins", "rejections")]


@pytest.mark.parametrize("collection", ["Users"], indirect=True)
@pytest.mark.parametrize("refusing", [403], indirect=True)
def test_explain_tells_of_it(due: Agent) -> None:
    due.sync()

    told = due.run("explain", "u2@example.com").out

    assert "kept, because deleting it was refused" in told
    assert "under legal hold" in told


@pytest.mark.parametrize("collection", ["Users"], indirect=True)
@pytest.mark.parametrize("refusing", [403], indirect=True)
def test_who_returns_is_rejected_no_more(due: Agent, refusing: ScimService) -> None:
    due.sync()
    due.ldif.write_text(ALL + group("app-b", "u0"))

    report = due.sync()

    assert (report["exit_code"], report["counts"]["rejected"]) == (0, 0)
    assert "u2@example.com" in refusing.active()


@pytest.mark.parametrize("collection", ["Groups"], indirect=True)
@pytest.mark.parametrize("refusing", [403], indirect=True)
def test_a_group_with_members_of_somebody_else_is_looked_at_again_rarely(due: Agent, refusing: ScimService) -> None:
    refusing.faults.clear()
    stranger = refusing.add_user(userName="stranger")
    app_b = next(item for item in refusing.groups.values() if item["displayName"] == "app-b")
    app_b["members"] = [{"value": stranger}]
    list(scheduled_cycles(due, 1))
    asked = len(refusing.requests)

    codes = list(scheduled_cycles(due, 2))

    assert len(refusing.requests) == asked
    assert codes == [1, 1]
    (shown,) = due.run("status", "--json").document["rejected"]
    assert shown["next"].endswith("or with rollcall sync --full")
    app_b["members"] = []
    due.sync()
    assert "app-b" in refusing.membership()
    due.sync("--full")
    assert "app-b" not in refusing.membership()
