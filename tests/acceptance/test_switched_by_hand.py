"""Accounts that somebody switches off or on upstream, beside the agent: a full reconciliation puts that right."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService


def account(scim: ScimService, name: str) -> dict[str, object]:
    return next(user for user in scim.users.values() if user["userName"] == name)


def test_who_was_switched_off_by_hand_and_is_to_be_in_is_taken_into_use(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    account(scim, "u3@example.com")["active"] = False

    assert agent.sync("--full")["exit_code"] == 0

    assert len(scim.active()) == 5


def test_who_was_switched_on_by_hand_and_is_to_be_out_is_told_of(agent: Agent, scim: ScimService) -> None:
    """It may be that the service does not heed deactivations: they must not come again in every reconciliation."""
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    agent.ldif.write_text(people(5) + group("app-a", *uids(4)))
    agent.sync()
    account(scim, "u4@example.com")["active"] = True

    reports = [agent.sync("--full") for _ in range(2)]

    told = "1 user is in use upstream though Rollcall has deactivated them (u4@example.com)"
    assert [any(told in notice for notice in report["notices"]) for report in reports] == [True, True]
    assert told in agent.run("status").out
    assert [report["counts"]["writes"] for report in reports] == [0, 0]
    account(scim, "u4@example.com")["active"] = False
    assert not any("in use upstream" in notice for notice in agent.sync("--full")["notices"])


@pytest.mark.parametrize("text", ["False", "false"])
def test_a_service_that_writes_a_text_is_understood(agent: Agent, scim: ScimService, text: str) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    account(scim, "u3@example.com")["active"] = text

    agent.sync("--full")

    assert account(scim, "u3@example.com")["active"] is True


def test_an_ordinary_cycle_does_not_look(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    account(scim, "u3@example.com")["active"] = False
    before = len(scim.requests)

    agent.sync()

    assert len(scim.requests) == before


@pytest.mark.parametrize("external_users", ["locked", "invite"])
def test_whether_an_external_user_uses_an_account_of_their_own_is_none_of_our_business(
    agent: Agent, scim: ScimService, external_users: str
) -> None:
    agent.configure(scim, upstream={"external_users": external_users})
    agent.ldif.write_text(people(3) + person("guest", mail="guest@partner.example") + group("app-a", *uids(3), "guest"))
    agent.sync()
    account(scim, "guest@partner.example")["active"] = False
    writes = len(scim.writes())

    for _ in range(2):
        agent.sync("--full")

    assert scim.writes()[writes:] == []
    assert account(scim, "guest@partner.example")["active"] is False
