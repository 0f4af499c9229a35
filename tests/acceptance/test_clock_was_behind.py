"""A clock that was behind while somebody left, and was put right: accounts are kept for no shorter a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.acceptance.clocks import clock_is_set
from tests.acceptance.test_leavers import ALL, OPEN, WITHOUT
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

LEAVER = "u2@example.com"
BEHIND = timedelta(days=60)


@pytest.mark.parametrize(
    "without",
    [WITHOUT, people(2) + person("u2", extra="nsAccountLock: TRUE\n") + group("app-a", *uids(3))],
    ids=["gone", "disabled first"],
)
def test_a_leaver_is_kept_for_as_long_as_by_a_right_clock(agent: Agent, scim: ScimService, without: str) -> None:
    agent.configure(scim, guard=OPEN, leavers={"delete_after": "30d"})
    agent.ldif.write_text(ALL)
    agent.sync()
    clock_is_set(agent, -BEHIND)
    scim.ahead = BEHIND
    agent.ldif.write_text(without)
    agent.sync()
    assert LEAVER not in scim.active()
    clock_is_set(agent, BEHIND)
    scim.ahead = timedelta(0)
    agent.ldif.write_text(WITHOUT)
    for _ in range(10):
        agent.sync()
    soon = {user["userName"] for user in scim.users.values()}
    for _ in range(6):
        clock_is_set(agent, timedelta(days=7))
        agent.sync()

    assert LEAVER in soon
    assert LEAVER not in {user["userName"] for user in scim.users.values()}
