"""A state that was lost, beside its audit trail: what is said of it does not claim that a back-up was put back."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService


@pytest.fixture
def lost(agent: Agent, scim: ScimService) -> Agent:
    """The database was moved away, and its trail is there."""
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.configure(scim)
    agent.sync()
    for file in agent.state.glob("rollcall.sqlite3*"):
        file.unlink()
    return agent


def test_a_plan_says_that_the_state_may_have_been_made_anew(lost: Agent) -> None:
    told = lost.run("plan").out

    assert "restored from a back-up or made anew" in told
    assert '"Everything is lost" in keeping.md' in told


def test_one_person_waits_for_a_cycle_whichever_it_was(lost: Agent) -> None:
    trail = lost.state / "audit.jsonl"
    written = trail.read_text()
    trail.unlink()
    lost.sync()
    trail.write_text(written.replace('"cycle_id":"', '"cycle_id":"later-').replace('"at":"20', '"at":"30'))

    done = lost.run("provision", "u0")

    assert done.code == 2
    assert "it was restored from a back-up, or made anew" in done.err
