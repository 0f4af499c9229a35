"""`rollcall explain` of an account that is out of use: when it is taken into use again."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

DISABLED = "nsAccountLock: true\n"
STAY = people(3)
ENABLED, LOCKED = person("ada"), person("ada", extra=DISABLED)
WITH, WITHOUT = group("app-a", *uids(3), "ada"), group("app-a", *uids(3))


@pytest.mark.parametrize(
    ("then", "when"),
    [
        (STAY + LOCKED + WITH, "when it is enabled again. Enable the account there"),
        (STAY + ENABLED + WITHOUT, "when it is a member again. Put the person into a selected group"),
        (STAY + LOCKED + WITHOUT, "when it is a member and enabled again. Put the person into a selected group"),
    ],
    ids=["disabled", "out of the group", "both"],
)
def test_it_is_said_what_the_account_returns_after(agent: Agent, scim: ScimService, then: str, when: str) -> None:
    agent.configure(scim)
    agent.ldif.write_text(STAY + ENABLED + WITH)
    agent.sync()
    agent.ldif.write_text(then)
    agent.sync()
    assert "ada@example.com" not in scim.active()

    told = agent.run("explain", "ada").out

    assert f" {when}" in told.split("It returns under the same SCIM id ", 1)[1].splitlines()[0]


def test_whom_the_policy_keeps_out_returns_when_it_is_let_in(agent: Agent, scim: ScimService) -> None:
    guest = person("bea", mail="bea@partner.example")
    agent.ldif.write_text(STAY + guest + group("app-a", *uids(3), "bea"))
    agent.configure(scim)
    agent.sync()
    agent.configure(scim, external={"blocked_domains": ["partner.example"]})
    agent.sync()
    assert "bea@partner.example" not in scim.active()

    assert "when it is let in. If the person is to come in" in agent.run("explain", "bea").out
