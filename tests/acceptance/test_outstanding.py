"""What is outstanding is told in every cycle, and what cannot be known yet takes nobody out."""

from __future__ import annotations

import pytest

from tests.acceptance.company import Company, filler
from tests.acceptance.guests import APP_A, GUEST, MOVED, NEW, OLD, SHUT, STAFF, STAFF_NAME, cycle, settles
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService


def declined(service: VendorService, user_name: str) -> None:
    gone = next(scim_id for scim_id, user in service.users.items() if user["userName"] == user_name)
    del service.users[gone]
    for item in service.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]


def test_who_was_refused_for_good_is_told_until_it_is_over(agent: Agent) -> None:
    with VendorService("refuse") as service:
        reports = [cycle(agent, service, GUEST + STAFF + APP_A) for _ in range(3)]

        assert [report["exit_code"] for report in reports] == [1, 1, 1]
        assert all("uid=guest,ou=People,dc=example,dc=com" in str(report["sentences"]) for report in reports[1:])
        assert service.calls()["POST", "external"] == 1
        assert reports[2]["counts"]["planned"] == 0
        planned = agent.run("plan", "--json")
        plan = planned.document
        assert planned.code == 1
        assert plan["memberships"] == {"add": 0, "remove": 0}
        cycle(agent, service, STAFF + group("app-a", "staff"))
        assert agent.sync()["exit_code"] == 0


def test_a_lost_invitation_is_told_in_every_cycle_and_when_it_is_sent_again(
    agent: Agent, invite: VendorService
) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    declined(invite, OLD)
    cycle(agent, invite, GUEST + STAFF + APP_A, subdomains=True)

    later = agent.sync()

    assert later["exit_code"] == 1
    assert "not tried again until somebody asks: rollcall sync --full" in str(later["sentences"])
    assert "next attempt after" not in agent.run("status").out


@pytest.mark.parametrize("how", ["another address", "the domain is verified"])
def test_a_person_who_becomes_managed_needs_no_invitation(agent: Agent, invite: VendorService, how: str) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    declined(invite, OLD)
    cycle(agent, invite, GUEST + STAFF + APP_A, subdomains=True)

    if how == "another address":
        cycle(agent, invite, person("guest", mail="guest@example.com") + STAFF + APP_A, subdomains=True)
    else:
        invite.domains.add("partner.example")
        managed = ["example.com", "partner.example"]
        cycle(agent, invite, GUEST + STAFF + APP_A, subdomains=True, managed_domains=managed)

    assert len(invite.membership()["app-a"]) == 2
    assert agent.sync()["exit_code"] == 0


def test_a_lost_invitation_keeps_no_account_that_was_set_aside(agent: Agent, invite: VendorService) -> None:
    rules = {"changed_address": "replace"}
    cycle(agent, invite, GUEST + STAFF + APP_A, **rules)
    for user in invite.users.values():
        user["active"] = True
    for _ in range(2):
        cycle(agent, invite, MOVED + STAFF + APP_A, guard=SHUT, **rules)
    declined(invite, NEW)
    cycle(agent, invite, MOVED + STAFF + APP_A, guard=SHUT, subdomains=True, **rules)

    for _ in range(3):
        cycle(agent, invite, MOVED + STAFF + group("app-a", "staff"), subdomains=True, **rules)

    assert invite.active() == {STAFF_NAME}
    settles(agent)


def test_the_spelling_of_an_address_is_not_ours_to_change_where_the_service_invites(
    agent: Agent, invite: VendorService
) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    renamed = person("guest", mail=OLD.upper(), extra="displayName: Another Name\n")

    cycle(agent, invite, renamed + STAFF + APP_A)

    assert invite.breaches == []
    assert {user["displayName"] for user in invite.users.values()} >= {"Another Name"}
    settles(agent)


def test_accounts_let_go_while_profiles_were_locked_are_deactivated_when_they_are_not(
    agent: Agent, locked: VendorService
) -> None:
    cycle(agent, locked, GUEST + STAFF + APP_A)
    cycle(agent, locked, GUEST + STAFF + group("app-a", "staff"))
    assert locked.active() == {OLD, STAFF_NAME}
    locked.behaviour = "ordinary"

    cycle(agent, locked, GUEST + STAFF + group("app-a", "staff"))
    agent.sync()

    assert locked.active() == {STAFF_NAME}


@pytest.mark.parametrize("trouble", ["part of a file", "no file"])
def test_who_moves_to_a_group_that_was_not_read_stays_active(company: Company, scim: ScimService, trouble: str) -> None:
    company.agent.sections["guard"] = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}
    company.agent.write()
    both = person("u") + person("v")
    company.holds("corp", both, group("app-a", "u", "v"))
    company.holds("partners", group("app-b", "v"))
    company.agent.sync()
    company.holds("corp", both, group("app-a", "v"))
    if trouble == "no file":
        company.file("partners").unlink()
    else:
        company.file("partners").write_text(filler("partners") + "dn: cn=zz,dc=cut\nobjectClass: grou")

    report = company.agent.sync()

    assert report["exit_code"] == 4
    assert scim.active() >= {"u@example.com", "v@example.com"}
    assert scim.membership()["app-a"] == {"v@example.com"}
    assert [text for text in report["notices"] if "1 user is in no selected group as far as is known" in text]
    company.holds("partners", group("app-b", "v"))
    company.agent.sync()
    company.agent.sync()
    assert "u@example.com" not in scim.active()
