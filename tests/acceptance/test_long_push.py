"""A push that lasts longer than a source counts as fresh: what its own cycle has read does not grow old meanwhile."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.outside import Outside
from tests.acceptance.telling import tell, webhook
from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.webhook import WebhookService

__all__ = ["webhook"]

PEOPLE = 30


@pytest.fixture
def slow(agent: Agent, scim: ScimService) -> Outside:
    """Have a daemon push for six seconds, by settings of which a source is fresh for three."""
    agent.ldif.write_text(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
    outside = Outside(agent, scim)
    outside.configure(health={"ready_within": "2s"}, upstream={"workers": 1})
    scim.faults.append(Fault(lambda request: request.path.endswith("/Users"), times=PEOPLE, delay=0.2))
    return outside


def test_a_source_stays_fresh_while_the_push_of_what_it_showed_goes_on(slow: Outside, scim: ScimService) -> None:
    with running(slow.agent):
        wait_for(lambda: len(scim.users) > 1)
        seen = set()
        while len(scim.users) < PEOPLE:
            told = slow.get("/readyz", Accept="application/json").json()["parts"]
            seen |= {(part["about"], part["ready"]) for part in told}
            seen.add(("metric", slow.metric("source_fresh", source="corp") == 1))
            time.sleep(0.2)

    assert seen == {("cycle", False), ("source corp", True), ("metric", True)}


def test_nobody_is_told_of_a_source_that_grew_old_during_the_push(slow: Outside, webhook: WebhookService) -> None:
    agent = slow.agent
    tell(agent, webhook, stale_after="2s")

    report = agent.sync()

    assert report["seconds"] > 4
    assert webhook.received == []


def test_a_later_push_that_takes_longer_than_the_limit_is_waited_for(agent: Agent, scim: ScimService) -> None:
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    outside = Outside(agent, scim)
    outside.configure(health={"ready_within": "2s"}, upstream={"workers": 1})
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        scim.faults.append(Fault(lambda request: request.path.endswith("/Users"), times=PEOPLE, delay=0.2))
        agent.ldif.write_text(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
        wait_for(lambda: len(scim.users) > 1)
        seen = set()
        while len(scim.users) < PEOPLE:
            seen.add((outside.get("/readyz").status_code, outside.metric("ready")))
            time.sleep(0.2)

    assert seen == {(200, 1.0)}
