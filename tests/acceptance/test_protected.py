"""Users and groups that [guard] protected names are never taken out, whatever the directory says."""

from __future__ import annotations

import pytest

from tests.acceptance.company import BY_NUMBER, Company, entry
from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn, uids
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}


def configured(agent: Agent, scim: ScimService, *protected: str) -> None:
    agent.configure(scim, guard=OPEN | {"protected": list(protected)})


@pytest.mark.parametrize("written", ["mail:U1@Example.com", "mail:u1@*", person_dn("U1"), person_dn("u1").upper()])
def test_a_protected_user_keeps_account_and_memberships(agent: Agent, scim: ScimService, written: str) -> None:
    configured(agent, scim, written)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.sync()
    agent.ldif.write_text(person("u0") + group("app-a", "u0"))

    report = agent.sync()

    assert scim.active() == {"u0@example.com", "u1@example.com"}
    assert scim.membership() == {"app-a": {"u0@example.com", "u1@example.com"}}
    assert report["exit_code"] == 0
    assert [text for text in report["notices"] if "1 user is kept upstream" in text and "protected by name" in text]
    assert agent.sync()["counts"]["planned"] == 0


@pytest.mark.parametrize("written", ["name:app-a", group_dn("app-a"), "name:APP-?"])
def test_nobody_is_taken_from_a_protected_group(agent: Agent, scim: ScimService, written: str) -> None:
    configured(agent, scim, written)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.sync()
    agent.ldif.write_text(people(2) + group("app-a", "u0"))

    agent.sync()

    # u2 is gone from the directory; u1 is there, and only the protected group has u1.
    assert scim.membership() == {"app-a": {"u0@example.com", "u1@example.com", "u2@example.com"}}
    assert scim.active() == {"u0@example.com", "u1@example.com"}

    agent.ldif.write_text(people(2))
    agent.sync()

    assert scim.active() == {"u0@example.com", "u1@example.com"}


def test_protection_that_is_taken_back_lets_go_of_whom_it_kept(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, "mail:u1@example.com")
    agent.ldif.write_text(people(2) + group("app-a", *uids(2)))
    agent.sync()
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    configured(agent, scim)

    agent.sync()

    assert scim.active() == {"u0@example.com"}


def test_protection_that_comes_later_holds_at_once(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim)
    agent.ldif.write_text(people(2) + group("app-a", *uids(2)))
    agent.sync()
    configured(agent, scim, "mail:u1@example.com")
    agent.ldif.write_text(people(1) + group("app-a", "u0"))

    agent.sync()

    assert scim.active() == {"u0@example.com", "u1@example.com"}


def test_a_protected_user_of_a_locked_service_keeps_the_memberships(agent: Agent, locked: VendorService) -> None:
    agent.configure(
        locked, guard=OPEN | {"protected": ["mail:*@partner.example"]}, upstream={"external_users": "locked"}
    )
    guest = person("guest", mail="guest@partner.example")
    agent.ldif.write_text(people(1) + guest + group("app-a", "u0", "guest"))
    agent.sync()
    agent.ldif.write_text(people(1) + group("app-a", "u0"))

    agent.sync()

    assert locked.membership() == {"app-a": {"u0@example.com", "guest@partner.example"}}


@pytest.mark.parametrize("written", ["mail:", "name:", "not a dn"])
def test_what_protects_nobody_is_refused(agent: Agent, scim: ScimService, written: str) -> None:
    configured(agent, scim, written)

    done = agent.run("sync")

    assert done.code == 2
    assert "guard.protected" in done.err


@pytest.mark.parametrize("names", ["the entry that leads", "the other entry"])
def test_a_person_of_several_entries_is_protected_by_any_of_them(company: Company, names: str) -> None:
    company.agent.sections["guard"] = OPEN | {
        "protected": [person_dn("anna" if names == "the entry that leads" else "a.berg")]
    }
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    anna = {"anna@example.com"}
    assert company.scim.membership() == {"app-a": anna, "app-p": anna}

    company.holds("corp", group("app-a"))
    company.agent.sync()
    company.holds("partners", entry("a.berg", "1"), group("app-p"))
    company.agent.sync()

    (user,) = company.scim.users.values()
    assert user["active"] is True
    assert {name: len(members) for name, members in company.scim.membership().items()} == {"app-a": 1, "app-p": 1}
