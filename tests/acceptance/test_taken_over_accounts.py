"""Accounts of external users that are taken over, and what was refused for good when the settings change."""

from __future__ import annotations

import pytest

from tests.acceptance.guests import (
    APP_A,
    BY_UID,
    GUEST,
    NEW,
    OLD,
    STAFF,
    STAFF_NAME,
    cycle,
    settles,
)
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.vendor_service import VendorService

# --- invite: an account that is taken over --------------------------------------------------------------------------


def test_a_leaver_who_is_made_again_in_the_directory_has_the_account_back_in_use(
    agent: Agent, invite: VendorService
) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    cycle(agent, invite, STAFF + group("app-a", "staff"))
    assert OLD not in invite.active()
    again = person("guest", mail=OLD, anchor="made-again", extra="displayName: Made Again\n")

    report = cycle(agent, invite, again + STAFF + APP_A)

    assert report["exit_code"] == 0
    assert invite.active() == {OLD, STAFF_NAME}
    assert {user["displayName"] for user in invite.users.values()} >= {"Made Again"}
    assert invite.membership() == {"app-a": {OLD, STAFF_NAME}}
    assert (invite.invitations, invite.breaches, len(invite.users)) == ([OLD], [], 2)
    settles(agent)


@pytest.mark.parametrize("changed_address", ["keep", "replace"])
def test_an_account_that_is_taken_over_keeps_the_address_it_has(
    agent: Agent, invite: VendorService, changed_address: str
) -> None:
    """The directory and the service call the person by one name, and have two addresses."""
    there = invite.add_user(userName="guest", emails=[{"value": NEW, "primary": True}], active=False, displayName="Own")
    rules = {"mapping": BY_UID, "changed_address": changed_address}

    cycle(agent, invite, GUEST + STAFF + APP_A, **rules)
    cycle(agent, invite, GUEST.replace("Guest Example", "Renamed Guest") + STAFF + APP_A, **rules)
    agent.sync("--full")

    assert (invite.users[there]["emails"][0]["value"], invite.users[there]["active"]) == (NEW, True)
    assert invite.membership() == {"app-a": {"guest", "staff"}}
    assert (invite.invitations, invite.breaches) == ([NEW], [])  # that one is how it came there


def test_that_an_account_which_is_taken_over_has_another_address_is_told(agent: Agent, invite: VendorService) -> None:
    invite.add_user(userName="guest", emails=[{"value": NEW, "primary": True}], active=True)

    report = cycle(agent, invite, GUEST + STAFF + APP_A, mapping=BY_UID)

    assert [text for text in report["notices"] if f"({OLD})" in text and f"({NEW})" in text]
    settles(agent)


def test_an_account_that_is_taken_over_with_an_address_of_a_protected_domain_is_protected(
    agent: Agent, invite: VendorService
) -> None:
    there = invite.add_user(userName="guest", emails=[{"value": "guest@kept.example", "primary": True}], active=True)
    rules = {"mapping": BY_UID, "protected_domains": ["kept.example"]}
    cycle(agent, invite, GUEST + STAFF + APP_A, **rules)

    cycle(agent, invite, STAFF + group("app-a", "staff"), **rules)

    assert invite.users[there]["active"] is True
    assert invite.membership() == {"app-a": {"guest", "staff"}}


# --- what is refused for good, when the settings change -------------------------------------------------------------

TWO_DOMAINS = ["example.com", "partner.example"]


def test_a_domain_that_was_refused_comes_in_with_the_next_cycle_after_it_is_managed(agent: Agent) -> None:
    with VendorService("refuse") as service:
        assert cycle(agent, service, GUEST + STAFF + APP_A)["exit_code"] == 1
        service.domains = set(TWO_DOMAINS)
        before = len(service.requests)
        assert cycle(agent, service, GUEST + STAFF + APP_A)["counts"]["rejected"] == 1
        assert len(service.requests) == before  # the service does not tell that it has verified the domain

        report = cycle(agent, service, GUEST + STAFF + APP_A, managed_domains=TWO_DOMAINS)

        assert report["exit_code"] == 0
        assert service.membership() == {"app-a": {OLD, STAFF_NAME}}
        settles(agent)


def test_what_is_still_refused_after_a_change_of_settings_is_tried_once(agent: Agent) -> None:
    with VendorService("refuse") as service:
        cycle(agent, service, GUEST + STAFF + APP_A)
        before = service.calls()["POST", "external"]

        for _unused in range(3):
            report = cycle(agent, service, GUEST + STAFF + APP_A, protected_domains=["elsewhere.example"])

        assert service.calls()["POST", "external"] == before + 1
        assert report["counts"]["rejected"] == 1


def test_a_gone_invitation_is_not_sent_again_because_the_settings_change(agent: Agent, invite: VendorService) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    declined = next(scim_id for scim_id, user in invite.users.items() if user["userName"] == OLD)
    del invite.users[declined]
    invite.groups[next(iter(invite.groups))]["members"] = []
    agent.configure(invite, upstream={"external_users": "invite"}, external={"protected_domains": ["one.example"]})
    assert agent.sync()["exit_code"] == 1

    agent.configure(invite, upstream={"external_users": "invite"}, external={"protected_domains": ["two.example"]})

    assert agent.sync()["counts"]["rejected"] == 1
    assert invite.invitations == [OLD]
