"""Somebody is told that too much is rejected, and that it is over; not each time the number wavers about the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.acceptance.telling import mail, tell
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.mail_server import MailServer
from tests.servers.scim_service import ScimService
from tests.servers.webhook import WebhookService

BEGINS, OVER = ("begins", "rejections"), ("over", "rejections")
Rejecting = Callable[[int], None]


@pytest.fixture
def webhook() -> Iterator[WebhookService]:
    with WebhookService() as service:
        yield service


@pytest.fixture
def rejecting(agent: Agent, scim: ScimService) -> Rejecting:
    """Run a cycle in which so many people join who are rejected; whoever was before is let in."""
    agent.configure(scim)
    everybody, names = ["staff"], count()

    def cycle(number: int) -> None:
        refused = {f"n{next(names)}" for _ in range(number)}
        everybody.extend(sorted(refused))
        scim.refuses = lambda user: "no room" if user["userName"].partition("@")[0] in refused else None
        agent.ldif.write_text("".join(map(person, everybody)) + group("app-a", *everybody))
        assert agent.sync()["counts"]["rejected"] == number

    return cycle


def test_more_rejected_objects_than_the_limit_are_told(
    agent: Agent, rejecting: Rejecting, webhook: WebhookService
) -> None:
    tell(agent, webhook, rejected_over=2)
    rejecting(3)
    rejecting(0)

    assert webhook.causes() == [BEGINS, OVER]
    assert webhook.received[0]["headline"] == "3 objects could not be pushed, more than 2."
    assert "create user, 3 times: 400 Bad Request, invalidValue: no room" in webhook.received[0]["details"]


def test_a_number_that_wavers_about_the_limit_is_told_once(
    agent: Agent, rejecting: Rejecting, webhook: WebhookService
) -> None:
    tell(agent, webhook, rejected_over=4)
    for number in (5, 4, 5, 3, 6):
        rejecting(number)

    assert webhook.causes() == [BEGINS]


def test_it_is_over_at_half_the_limit(agent: Agent, rejecting: Rejecting, webhook: WebhookService) -> None:
    tell(agent, webhook, rejected_over=5)
    told = []
    for number in (6, 3, 2, 5, 6):
        rejecting(number)
        told.append(len(webhook.received))

    assert told == [1, 1, 2, 2, 3]
    assert webhook.causes() == [BEGINS, OVER, BEGINS]
    assert "Over: No more objects are rejected than half the limit." in webhook.received[1]["text"]


def test_who_is_told_late_is_told_what_is_so_by_then(
    agent: Agent, rejecting: Rejecting, webhook: WebhookService
) -> None:
    with MailServer() as server:
        tell(agent, webhook, rejected_over=4)
        mail(agent, server)
        server.answers["RCPT"] = "550 nobody here"
        rejecting(5)
        server.answers.clear()
        rejecting(3)

    assert webhook.causes() == [BEGINS]
    (late,) = server.received
    assert late.message["Subject"] == "Rollcall: 3 objects could not be pushed, after more than 4."


def test_what_nobody_was_told_of_is_over_at_the_limit(
    agent: Agent, rejecting: Rejecting, webhook: WebhookService
) -> None:
    tell(agent, webhook, rejected_over=4)
    webhook.status = 500
    rejecting(5)
    webhook.status = 200
    rejecting(4)

    assert webhook.causes() == []
