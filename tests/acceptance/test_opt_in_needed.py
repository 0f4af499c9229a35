"""A connection has run without external users, for whatever reason: none comes in before somebody has opted in."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.guests import cycle
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import ScimService

GUESTS = [f"g{number}" for number in range(5)]
CONTENT = (
    "".join(person(uid, mail=f"{uid}@partner.example") for uid in GUESTS)
    + person("staff")
    + group("app-a", "staff", *GUESTS)
)


@pytest.mark.parametrize(
    "before",
    [
        {"policy": "skip"},
        {"policy": "review"},
        {"policy": "skip", "domains": {"nobody.example": "provision"}},
        {"policy": "skip", "groups": {"name:nothing": "provision"}},
        {"policy": "review", "domains": {"partner.example": "skip"}},
    ],
)
def test_whatever_kept_them_out_a_new_policy_alone_lets_nobody_in(
    agent: Agent, scim: ScimService, before: dict[str, Any]
) -> None:
    cycle(agent, scim, CONTENT, **before)
    cycle(agent, scim, CONTENT, policy="provision")
    report = cycle(agent, scim, CONTENT, policy="provision")

    assert scim.active() == {"staff@example.com"}
    assert [text for text in report["notices"] if "nobody has opted in" in text]
    assert agent.run("external", "opt-in").code == 0
    agent.sync()
    assert len(scim.active()) == 6


def test_a_review_that_let_somebody_in_is_no_connection_without_external_users(agent: Agent, scim: ScimService) -> None:
    cycle(agent, scim, CONTENT, policy="review")
    assert agent.run("external", "opt-in").code == 0
    late = CONTENT.replace(group("app-a", "staff", *GUESTS), person("late", mail="late@partner.example"))
    late += group("app-a", "staff", "late", *GUESTS)
    cycle(agent, scim, late, policy="review")
    assert len(scim.active()) == 6

    cycle(agent, scim, late, policy="provision")

    assert len(scim.active()) == 7


def test_rules_that_leave_some_out_of_a_connection_that_lets_external_users_in_shut_no_gate(
    agent: Agent, scim: ScimService
) -> None:
    only_skipped = {"policy": "provision", "domains": {"partner.example": "skip"}}
    cycle(agent, scim, CONTENT, **only_skipped)
    other = person("other", mail="other@agency.example")

    cycle(agent, scim, CONTENT.replace(group("app-a", "staff", *GUESTS), other) + group("app-a", "staff", "other"),
          **only_skipped)  # fmt: skip

    assert scim.active() == {"staff@example.com", "other@agency.example"}


def test_under_the_rules_of_the_first_day_whoever_they_let_in_comes_in(agent: Agent, scim: ScimService) -> None:
    rules = {"policy": "skip", "domains": {"partner.example": "provision"}}
    other = person("o", mail="o@agency.example")
    cycle(agent, scim, other + person("staff") + group("app-a", "staff", "o"), **rules)

    cycle(agent, scim, other + CONTENT + group("app-b", "o"), **rules)

    assert scim.active() == {"staff@example.com", *(f"{uid}@partner.example" for uid in GUESTS)}


def test_whoever_was_decided_about_comes_back_though_nobody_was_there_meanwhile(
    agent: Agent, scim: ScimService
) -> None:
    guest, new = person("g", mail="g@partner.example"), person("n", mail="n@partner.example")
    cycle(agent, scim, guest + person("staff") + group("app-a", "staff", "g"), policy="review")
    assert agent.run("external", "opt-in").code == 0
    agent.sync()
    cycle(agent, scim, guest + new + person("staff") + group("app-a", "staff", "n"), policy="review")

    cycle(agent, scim, guest + new + person("staff") + group("app-a", "staff", "n", "g"), policy="review")

    assert scim.active() == {"staff@example.com", "g@partner.example"}
