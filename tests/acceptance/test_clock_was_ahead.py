"""A clock that was ahead while a cycle ran, and was put right: what it has dated is not believed to be yet to come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.acceptance.clocks import clock_is_set
from tests.acceptance.telling import tell, webhook
from tests.acceptance.test_daemon import running, wait_for
from tests.acceptance.test_deleted_upstream import GUEST_NAME, delete_by_hand, invited, let_a_week_pass
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService
from tests.servers.webhook import WebhookService

__all__ = ["webhook"]

YEAR = timedelta(days=365)
LEFT = people(4) + group("app-a", *uids(3))


@pytest.fixture
def refused(agent: Agent, scim: ScimService) -> Agent:
    """Have somebody leave, and the upstream refuse it, by a clock that is a year ahead and then put right."""
    agent.configure(scim, guard=NO_LIMITS, schedule={"every": "1s"})
    agent.ldif.write_text(people(4) + group("app-a", *uids(4)))
    agent.sync()
    agent.ldif.write_text(LEFT)
    fault = Fault(lambda request: request.method in {"PATCH", "PUT", "DELETE"}, times=1000, status=400)
    scim.faults.append(fault)
    assert agent.sync()["exit_code"] == 1
    clock_is_set(agent, -YEAR)
    return agent


def test_a_leaver_who_was_refused_by_it_leaves_with_the_next_cycle(refused: Agent, scim: ScimService) -> None:
    scim.faults.clear()

    with running(refused):
        wait_for(lambda: len(scim.membership()["app-a"]) == 3 and len(scim.active()) == 3)


def test_a_leaver_who_is_refused_still_is_told_by_each_cycle(refused: Agent) -> None:
    with running(refused):
        wait_for(lambda: len(refused.run("status", "--json").document["cycles"]) > 5)
        cycles = refused.run("status", "--json").document["cycles"][:4]

    assert [cycle["exit_code"] for cycle in cycles] == [1, 1, 1, 1]


def test_everything_is_compared_again_with_the_next_cycle(refused: Agent, scim: ScimService) -> None:
    scim.faults.clear()
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u0@example.com")
    del scim.users[gone]  # which only a comparison of everything notices

    with running(refused):
        wait_for(lambda: "u0@example.com" in scim.active())


def test_an_approval_that_was_given_by_it_is_none(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"users": 0, "users_share": "0%"})
    agent.ldif.write_text(people(4) + group("app-a", *uids(4)))
    agent.sync()
    agent.ldif.write_text(LEFT)
    digest = agent.sync()["plan_digest"]
    agent.run("approve", digest)
    clock_is_set(agent, -YEAR)

    held = agent.sync()
    agent.run("approve", digest)
    let_through = agent.sync()

    assert (held["exit_code"], held["plan_digest"]) == (3, digest)
    assert let_through["counts"]["deactivate user"] == 1


def test_an_invitation_that_was_lost_by_it_is_sent_again_only_when_somebody_asks(
    agent: Agent, invite: VendorService
) -> None:
    invited(agent, invite)
    delete_by_hand(invite, GUEST_NAME)
    let_a_week_pass(agent)
    agent.sync()
    clock_is_set(agent, -YEAR)

    report = agent.sync()

    assert (report["exit_code"], report["counts"]["rejected"]) == (1, 1)
    assert invite.invitations == [GUEST_NAME]


def test_a_source_that_cannot_be_read_since_is_told_after_the_usual_time(
    agent: Agent, scim: ScimService, webhook: WebhookService
) -> None:
    agent.configure(scim)
    tell(agent, webhook, stale_after="1h")
    agent.ldif.write_text(LEFT)
    agent.sync()
    clock_is_set(agent, -YEAR)
    agent.ldif.unlink()
    agent.sync()
    clock_is_set(agent, timedelta(hours=2))
    agent.sync()

    assert [message["cause"] for message in webhook.received] == ["source corp"]
