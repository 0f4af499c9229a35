"""The cause that is told, of what is taken away and of what is kept, is the one that is so."""

from __future__ import annotations

import pytest

from tests.acceptance.guests import cycle
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService
from tests.servers.webhook import WebhookService

DISABLED = "nsAccountLock: TRUE\n"


def cause_of_removal(agent: Agent) -> str:
    """Return why the last removal of a membership was carried out, as the audit trail has it."""
    record = agent.run("audit", "--verb", "remove members", "--json").document[-1]
    (member,) = record["members"]
    return str(member["cause"])


def test_whom_a_group_lists_no_more_is_taken_out_for_that_though_disabled(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=NO_LIMITS)
    others = people(5)
    agent.ldif.write_text(others + person("x") + group("app-a", *uids(5), "x") + group("app-b", *uids(5), "x"))
    agent.sync()
    disabled = others + person("x", extra=DISABLED)
    agent.ldif.write_text(disabled + group("app-a", *uids(5), "x") + group("app-b", *uids(5), "x"))
    agent.sync()
    agent.ldif.write_text(disabled + group("app-a", *uids(5)) + group("app-b", *uids(5), "x"))
    planned = agent.run("plan", "--json").document["causes"]

    agent.sync()

    assert [cause["cause"] for cause in planned] == ["no longer a member of the group"]
    assert cause_of_removal(agent) == "no longer a member of the group"


def test_whose_account_cannot_be_deactivated_is_taken_out_for_being_disabled(
    agent: Agent, locked: VendorService
) -> None:
    guest = person("guest", mail="guest@partner.example")
    listed = people(5) + group("app-a", *uids(5), "guest")
    cycle(agent, locked, listed + guest)

    cycle(agent, locked, listed + guest.rstrip("\n") + f"\n{DISABLED}\n")

    assert cause_of_removal(agent) == "disabled in the directory"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"guard": {"protected": ["mail:u0@*"]}}, "protected by name ([guard] protected)"),
        ({"external": {"protected_domains": ["example.com"]}}, "their domain is protected ([external]"),
    ],
)
def test_who_is_kept_is_told_by_which_protection(
    agent: Agent, scim: ScimService, setting: dict[str, dict[str, object]], told: str
) -> None:
    agent.configure(scim, **setting)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)[1:]))

    notices = agent.sync()["notices"]
    in_status = agent.run("status", "--json").document["notices"]

    (sentence,) = [text for text in notices if "1 user is kept upstream" in text]
    assert told in sentence
    assert sentence in in_status
    assert ("[guard]" in sentence) is not ("[external]" in sentence)


def test_what_the_guard_holds_is_told_in_the_same_words_everywhere(agent: Agent, scim: ScimService) -> None:
    with WebhookService() as webhook:
        (agent.directory / "hook").write_text(webhook.url + "\n")
        agent.configure(scim, notice={"webhook_url_file": "hook"})
        agent.ldif.write_text(people(30) + group("app-a", *uids(30)))
        agent.sync()
        agent.ldif.write_text(people(30) + group("app-a", *uids(12)))
        planned = agent.run("plan").out

        held = agent.sync()

    amount = "18 memberships and 18 users"
    assert f"{amount} would be held" in planned
    assert f"{amount} held back" in held["sentences"][0]
    assert webhook.received[0]["headline"] == f"The guard holds {amount} back."
