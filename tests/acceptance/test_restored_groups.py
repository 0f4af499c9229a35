"""After an older state was put back, a group has what was made for it last, and nobody in it is forgotten."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, ScimService

WITHOUT = people(6) + group("app-a", *uids(4))
WITH_IT = WITHOUT + group("app-c", "u4", "u5")
SINCE = "since the back-up"


def back_up(agent: Agent) -> None:
    shutil.rmtree(agent.directory / "backup", ignore_errors=True)
    shutil.copytree(agent.state, agent.directory / "backup")


def deleted_by_hand(agent: Agent, scim: ScimService, name: str) -> None:
    """And made anew by the agent."""
    del scim.groups[next(scim_id for scim_id, item in scim.groups.items() if item["displayName"] == name)]
    for _ in range(3):
        agent.sync("--full")
    assert scim.membership()[name] == mails("u4", "u5")


@pytest.fixture(params=["before the back-up", SINCE])
def made_anew(request: pytest.FixtureRequest, agent: Agent, scim: ScimService) -> Agent:
    """The group was made before the back-up, or since; somebody has deleted it since; and the back-up is put back."""
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(WITHOUT if request.param == SINCE else WITH_IT)
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(WITH_IT)
    agent.sync()
    deleted_by_hand(agent, scim, "app-c")
    restore(agent)
    return agent


def test_a_group_that_was_made_anew_since_and_is_gone_by_now_has_nobody_any_more(
    made_anew: Agent, scim: ScimService
) -> None:
    # u4 and u5 are in use all the same: else they would be out of every group with their accounts.
    made_anew.ldif.write_text(WITHOUT + group("app-d", "u4", "u5"))

    for _ in range(3):
        made_anew.sync()

    assert scim.membership()["app-c"] == set()
    assert scim.membership()["app-d"] == mails("u4", "u5")


def test_a_group_that_was_made_anew_since_and_is_there_is_the_same_group(made_anew: Agent, scim: ScimService) -> None:
    standing, groups = scim.membership(), set(scim.groups)
    before = len(scim.requests)

    reports = [made_anew.sync() for _ in range(3)]

    assert (scim.membership(), set(scim.groups)) == (standing, groups)
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    assert not [one for one in scim.requests[before:] if one.method in {"POST", "DELETE"}]


def test_a_group_that_the_state_knows_as_newer_keeps_what_it_has(agent: Agent, scim: ScimService) -> None:
    """The records of the cycles that this state knows are lost: those before them are there, and those after."""
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(WITH_IT)
    agent.sync()
    trail = agent.state / "audit.jsonl"
    old = trail.read_text()
    deleted_by_hand(agent, scim, "app-c")
    back_up(agent)
    known = trail.read_text()
    agent.ldif.write_text(WITH_IT + group("app-d", "u0"))
    agent.sync()
    since = trail.read_text().removeprefix(known)
    restore(agent)
    trail.write_text(old + since)
    connection = sqlite3.connect(agent.state / "rollcall.sqlite3")
    connection.execute("delete from cycle")
    connection.execute("update fact set value = '' where name like 'last cycle of%'")
    connection.commit()
    connection.close()
    standing = json.dumps(scim.groups, sort_keys=True)

    reports = [agent.sync() for _ in range(3)]

    assert json.dumps(scim.groups, sort_keys=True) == standing
    assert [report["exit_code"] for report in reports] == [0, 0, 0]


def test_what_was_taken_up_once_is_known_also_in_a_trail_of_which_nothing_else_is(
    agent: Agent, scim: ScimService
) -> None:
    """Of the state that took it up a back-up was made; then the clock was set back, and a group was made anew."""
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(WITH_IT)
    agent.sync()
    back_up(agent)
    trail = agent.state / "audit.jsonl"
    known = trail.read_text()
    agent.ldif.write_text(WITH_IT + group("app-d", "u0"))
    agent.sync()
    restore(agent)
    trail.write_text(trail.read_text().removeprefix(known))
    taken_up = trail.read_text()
    scim.faults.append(Fault(lambda _request: True, times=1_000, status=401))
    agent.sync()
    scim.faults.clear()
    assert trail.read_text() == taken_up
    back_up(agent)
    deleted_by_hand(agent, scim, "app-c")
    since = [json.loads(line) for line in trail.read_text().removeprefix(taken_up).splitlines()]
    early = [json.dumps(record | {"at": "2026-01-01T00:00:00+00:00"}) + "\n" for record in since]
    trail.write_text(taken_up + "".join(early))
    restore(agent)
    agent.ldif.write_text(WITHOUT + group("app-d", "u4", "u5"))

    for _ in range(3):
        agent.sync()

    assert scim.membership()["app-c"] == set()
