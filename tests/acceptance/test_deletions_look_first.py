"""Before an account is deleted for good, it is looked at: somebody may have put it back into use upstream."""

from __future__ import annotations

import pytest

from tests.acceptance.test_leavers import ALL, OPEN, WITHOUT, months_pass
from tests.agent_runner import Agent
from tests.servers.scim_service import Fault, ScimService

LEAVER = "u2@example.com"


@pytest.fixture
def due(agent: Agent, scim: ScimService) -> str:
    """Have an account deactivated so long ago that it is to be deleted. Returns its SCIM id."""
    agent.configure(scim, guard=OPEN, leavers={"delete_after": "30d"})
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)
    return next(scim_id for scim_id, user in scim.users.items() if user["userName"] == LEAVER)


def test_an_account_that_is_in_use_again_upstream_is_not_deleted(agent: Agent, scim: ScimService, due: str) -> None:
    scim.users[due]["active"] = True
    scim.add_group(displayName="board", members=[{"value": due}])
    writes = len(scim.writes())

    report = agent.sync()

    assert due in scim.users
    assert len(scim.writes()) == writes
    assert report["exit_code"] == 1
    assert "delete user" not in report["counts"]
    assert f"delete user {LEAVER}: it is in use upstream again" in str(report["sentences"])
    record = agent.run("audit", "--verb", "delete user", "--json").document[-1]
    assert (record["result"], record["writes"]) == ("rejected", 0)


def test_it_is_deactivated_again_and_its_time_begins_anew(agent: Agent, scim: ScimService, due: str) -> None:
    scim.users[due]["active"] = True
    agent.sync()

    report = agent.sync()

    assert report["counts"]["deactivate user"] == 1
    assert LEAVER not in scim.active()
    assert agent.sync()["counts"]["planned"] == 0
    assert due in scim.users
    months_pass(agent)
    assert agent.sync()["counts"]["delete user"] == 1
    assert due not in scim.users


def test_that_deactivation_is_a_matter_of_the_guard(agent: Agent, scim: ScimService, due: str) -> None:
    scim.users[due]["active"] = True
    agent.sync()
    agent.configure(scim, guard={"users": 0, "users_share": "0%"}, leavers={"delete_after": "30d"})

    report = agent.sync()

    assert report["exit_code"] == 3
    assert LEAVER in scim.active()


def test_an_account_that_cannot_be_looked_at_is_not_deleted(agent: Agent, scim: ScimService, due: str) -> None:
    scim.faults.append(Fault(lambda r: r.method == "GET" and due in r.path, times=100, status=403))

    report = agent.sync()

    assert report["exit_code"] == 1
    assert due in scim.users
    scim.faults.clear()
    agent.sync()
    assert due not in scim.users


def test_an_inactive_account_in_a_group_of_somebody_else_is_deleted(agent: Agent, scim: ScimService, due: str) -> None:
    scim.add_group(displayName="board", members=[{"value": due}])

    assert agent.sync()["exit_code"] == 0
    assert due not in scim.users


def test_an_account_that_is_gone_already_needs_no_delete(agent: Agent, scim: ScimService, due: str) -> None:
    del scim.users[due]
    writes = len(scim.writes())

    assert agent.sync()["counts"]["delete user"] == 1
    assert len(scim.writes()) == writes
    assert agent.sync()["counts"]["planned"] == 0
