"""Accounts of external users in hard cases: replaced, set aside, interrupted, invited, and undecided."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "members_from": 0}
SHUT = {"users": 0, "users_share": "0%", "groups": 0, "groups_share": "0%", "members": 0, "members_share": "0%",
        "members_from": 0}  # fmt: skip
OLD, NEW, STAFF_NAME = "guest@partner.example", "new@partner.example", "staff@example.com"
GUEST, MOVED, STAFF = person("guest", mail=OLD), person("guest", mail=NEW), person("staff")
APP_A = group("app-a", "guest", "staff")


@pytest.fixture
def locked() -> Iterator[VendorService]:
    with VendorService("locked") as service:
        yield service


@pytest.fixture
def invite() -> Iterator[VendorService]:
    with VendorService("invite") as service:
        yield service


def cycle(agent: Agent, service: Any, content: str, *, guard: Any = OPEN, upstream: Any = None, mapping: Any = None,
          **external: object) -> Any:  # fmt: skip
    sections: dict[str, Any] = {"guard": guard, "upstream": upstream or {}, "external": external}
    if getattr(service, "behaviour", None):
        sections["upstream"] = {"external_users": service.behaviour} | sections["upstream"]
    if mapping:
        sections["mapping"] = mapping
    agent.configure(service, **sections)
    agent.ldif.write_text(content)
    return agent.sync()


def marks(agent: Agent) -> list[int]:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        return [row[0] for row in connection.execute("select entry_id from mark")]


def settles(agent: Agent) -> None:
    agent.sync()
    last = agent.sync()
    assert last["counts"]["writes"] == 0
    assert last["counts"]["planned"] == 0
    assert marks(agent) == []


def drop_group_patches(service: ScimService, drop: str, times: int = 99) -> None:
    service.faults.append(Fault(lambda r: r.method == "PATCH" and "/Groups/" in r.path, times=times, drop=drop))


# --- accounts that were set aside -----------------------------------------------------------------------------------


def test_replaced_account_of_a_protected_domain_is_not_taken_out(agent: Agent, locked: VendorService) -> None:
    rules = {"changed_address": "replace", "protected_domains": ["partner.example"]}
    cycle(agent, locked, GUEST + STAFF + APP_A, **rules)
    cycle(agent, locked, person("guest", mail="guest@agency.example") + STAFF + APP_A, **rules)
    agent.sync()
    agent.sync()
    assert OLD in locked.membership()["app-a"]


def test_a_person_who_is_disabled_between_replacing_and_taking_over_keeps_no_membership(
    agent: Agent, locked: VendorService
) -> None:
    """The new account is made, the group cannot be reached; then the person is disabled."""
    cycle(agent, locked, GUEST + STAFF + APP_A, changed_address="replace")
    drop_group_patches(locked, "before")
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    locked.faults.clear()
    disabled = person("guest", mail=NEW, extra="pwdAccountLockedTime: 000001010000Z\n")
    cycle(agent, locked, disabled + STAFF + APP_A, changed_address="replace")
    agent.sync()
    agent.sync()
    assert locked.membership() == {"app-a": {STAFF_NAME}}
    settles(agent)


def test_a_group_rule_made_between_replacing_and_taking_over_leaves_no_membership(
    agent: Agent, locked: VendorService
) -> None:
    b = group("app-b", "guest", "staff")
    cycle(agent, locked, GUEST + STAFF + APP_A + b, changed_address="replace")
    cycle(agent, locked, MOVED + STAFF + APP_A + b, changed_address="replace", groups={"name:app-b": "skip"})
    agent.sync()
    agent.sync()
    assert locked.membership()["app-b"] == {STAFF_NAME}
    settles(agent)


def test_who_is_blocked_while_the_guard_holds_a_replacement_keeps_no_membership(
    agent: Agent, locked: VendorService
) -> None:
    cycle(agent, locked, GUEST + STAFF + APP_A, changed_address="replace")
    drop_group_patches(locked, "before")
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    locked.faults.clear()
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace", blocked_domains=["partner.example"])
    agent.sync()
    agent.sync()
    assert locked.membership() == {"app-a": {STAFF_NAME}}
    settles(agent)


def test_an_addition_whose_answer_was_lost_is_not_forgotten_when_the_account_is_replaced(
    agent: Agent, locked: VendorService
) -> None:
    drop_group_patches(locked, "after")
    cycle(agent, locked, GUEST + STAFF + APP_A, changed_address="replace")
    assert OLD in locked.membership()["app-a"]
    locked.faults.clear()
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    agent.sync()
    agent.sync()
    agent.sync("--full")
    assert locked.membership() == {"app-a": {NEW, STAFF_NAME}}
    settles(agent)


def test_a_set_aside_account_whose_domain_is_sold_meanwhile_gets_no_call(agent: Agent, locked: VendorService) -> None:
    locked.domains = {"example.com", "sold.example"}
    both = {"managed_domains": ["example.com", "sold.example"], "changed_address": "replace"}
    cycle(agent, locked, person("guest", mail="guest@sold.example") + STAFF + APP_A, **both)
    cycle(agent, locked, MOVED + STAFF + APP_A, **both)
    cycle(agent, locked, MOVED + STAFF + APP_A, guard=SHUT, **both)
    locked.domains = {"example.com"}
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    agent.sync()
    assert locked.breaches == []


def test_leave_and_replace_keep_no_mark_for_ever(agent: Agent, locked: VendorService) -> None:
    b = group("app-b", "guest", "staff")
    rules = {"changed_address": "replace", "withdrawal": "leave", "groups": {"name:app-b": "skip"}}
    cycle(agent, locked, GUEST + STAFF + APP_A + b, changed_address="replace")
    cycle(agent, locked, GUEST + STAFF + APP_A + b, **rules)
    cycle(agent, locked, MOVED + STAFF + APP_A + b, **rules)
    settles(agent)


# --- locked: never a call to an account that is the person's own ----------------------------------------------------

BY_UID = {"user_name": "{uid}"}


def test_a_gone_invitation_is_not_sent_again_because_the_name_changes_once_more(
    agent: Agent, invite: VendorService
) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    declined = next(scim_id for scim_id, user in invite.users.items() if user["userName"] == OLD)
    del invite.users[declined]
    invite.groups[next(iter(invite.groups))]["members"] = []
    cycle(agent, invite, GUEST.replace("Guest Example", "Renamed One") + STAFF + APP_A)
    cycle(agent, invite, GUEST.replace("Guest Example", "Renamed Two") + STAFF + APP_A)
    assert invite.invitations == [OLD]


def test_who_returns_with_another_address_is_not_shut_out_in_silence(agent: Agent, invite: VendorService) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    cycle(agent, invite, GUEST + STAFF + group("app-a", "staff"))
    report = cycle(agent, invite, MOVED + STAFF + APP_A)
    assert invite.breaches == []
    assert invite.membership()["app-a"] & {OLD, NEW}, (report["exit_code"], report["notices"])
    settles(agent)


def test_who_returned_with_another_address_costs_no_more_calls(agent: Agent, invite: VendorService) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A)
    cycle(agent, invite, GUEST + STAFF + group("app-a", "staff"))
    cycle(agent, invite, MOVED + STAFF + APP_A)
    settles(agent)


def test_who_waits_in_one_group_only_can_be_decided_about(agent: Agent, scim: ScimService) -> None:
    content = GUEST + STAFF + APP_A + group("app-b", "guest", "staff")
    cycle(agent, scim, content, groups={"name:app-b": "review"})
    assert scim.membership() == {"app-a": {OLD, STAFF_NAME}, "app-b": {STAFF_NAME}}
    shown = agent.run("external", "--json").document
    agent.run("external", "opt-in")
    agent.sync()
    assert shown["list"]["users"] == 1
    assert scim.membership()["app-b"] == {OLD, STAFF_NAME}


def test_a_group_that_loses_its_name_keeps_its_rule(agent: Agent, scim: ScimService) -> None:
    mapping = {"group_name": "{description}"}
    named = APP_A.replace("cn: app-a\n", "cn: app-a\ndescription: app-open\n")
    rules = {"policy": "skip", "groups": {"name:app-open": "provision"}}
    cycle(agent, scim, GUEST + STAFF + named, mapping=mapping, **rules)
    assert scim.membership() == {"app-open": {OLD, STAFF_NAME}}
    cycle(agent, scim, GUEST + STAFF + APP_A, mapping=mapping, **rules)
    assert scim.membership() == {"app-open": {OLD, STAFF_NAME}}
    assert OLD in scim.active()


def test_one_domain_written_twice_is_a_contradiction(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, external={"domains": {"Partner.example": "skip", "partner.example": "provision"}})
    agent.ldif.write_text(GUEST + STAFF + APP_A)
    agent.run("sync")
    assert OLD not in {user["userName"] for user in scim.users.values()}


def test_opt_in_for_nobody_and_withdraw_of_a_list(agent: Agent, scim: ScimService) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A)
    assert agent.run("external", "withdraw", "--list", "0000").code == 2


def test_opt_in_for_nobody(agent: Agent, scim: ScimService) -> None:
    cycle(agent, scim, STAFF + group("app-a", "staff"))
    done = agent.run("external", "opt-in")
    assert "creates them" not in done.out, done.out


def two(agent: Agent, service: Any, corp: str, partners: str, **sections: Any) -> Any:
    agent.configure(
        service, {"name": "corp", "connector": "ldif", "file": "directory.ldif"},
        {"name": "partners", "connector": "ldif", "file": "partners.ldif"},
        guard=OPEN, upstream={"external_users": service.behaviour}, **sections,
    )  # fmt: skip
    agent.ldif.write_text(corp)
    (agent.directory / "partners.ldif").write_text(partners)
    return agent.sync()


def test_opt_in_beside_a_daemon(agent: Agent, scim: ScimService) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A, policy="skip")
    agent.configure(scim, guard=OPEN, external={"policy": "review"}, schedule={"every": "1s"})
    running = agent.start("run")
    try:
        time.sleep(4)
        assert OLD not in scim.active()
        assert agent.run("external", "opt-in", "--by", "Ada").code == 0
        end = time.monotonic() + 15
        while OLD not in scim.membership().get("app-a", set()) and time.monotonic() < end:
            time.sleep(0.2)
        assert OLD in scim.membership()["app-a"]
        assert agent.run("external", "withdraw", "--by", "Ada").code == 0
        end = time.monotonic() + 15
        while OLD in scim.active() and time.monotonic() < end:
            time.sleep(0.2)
        assert OLD not in scim.active()
    finally:
        running.terminate() if hasattr(running, "terminate") else running.kill()
        running.wait(20)


def test_many_replacements_wait_for_the_guard_and_go_on_when_approved(agent: Agent, locked: VendorService) -> None:
    def text(domain: str) -> str:
        return "".join(person(f"g{n}", mail=f"g{n}@{domain}") for n in range(15)) + STAFF + group(
            "app-a", "staff", *(f"g{n}" for n in range(15)))  # fmt: skip

    cycle(agent, locked, text("partner.example"), guard={}, changed_address="replace")
    cycle(agent, locked, text("agency.example"), guard={}, changed_address="replace")
    held = agent.sync()
    if held["exit_code"] == 3:
        assert agent.run("approve", held["plan_digest"]).code == 0
    agent.sync()
    assert locked.membership()["app-a"] == {STAFF_NAME, *(f"g{n}@agency.example" for n in range(15))}
    settles(agent)


def test_a_member_that_is_refused_keeps_the_former_account_in(agent: Agent, locked: VendorService) -> None:
    cycle(agent, locked, GUEST + STAFF + APP_A, changed_address="replace")
    locked.faults.append(Fault(lambda r: r.method == "PATCH" and "'add'" in str(r.body), times=99, status=400))
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    agent.sync()
    assert locked.membership() == {"app-a": {OLD, STAFF_NAME}}
    locked.faults.clear()
    agent.sync()
    agent.sync()
    assert locked.membership() == {"app-a": {NEW, STAFF_NAME}}
    settles(agent)


def test_an_address_that_changes_there_and_back_while_the_guard_holds_shuts_nobody_out(
    agent: Agent, locked: VendorService
) -> None:
    for content in (GUEST, MOVED, MOVED, GUEST, MOVED, GUEST):
        cycle(agent, locked, content + STAFF + APP_A, guard=SHUT, changed_address="replace")
        assert locked.membership()["app-a"] & {OLD, NEW}
    cycle(agent, locked, GUEST + STAFF + APP_A, changed_address="replace")
    agent.sync()
    assert locked.membership() == {"app-a": {OLD, STAFF_NAME}}
    assert locked.breaches == []
    settles(agent)


def test_an_address_that_belonged_to_a_leaver_stops_no_push(agent: Agent, locked: VendorService) -> None:
    both = GUEST + person("other", mail="other@partner.example") + STAFF
    cycle(agent, locked, both + group("app-a", "guest", "other", "staff"), changed_address="replace")
    cycle(agent, locked, person("other", mail="other@partner.example") + STAFF + group("app-a", "other", "staff"),
          changed_address="replace")  # fmt: skip
    taken = person("other", mail=OLD) + STAFF + person("late") + group("app-a", "other", "staff", "late")
    agent.configure(locked, guard={"users_share": "100%"}, upstream={"external_users": "locked"},
                    external={"changed_address": "replace"})  # fmt: skip
    agent.ldif.write_text(taken)
    codes = []
    for _unused in range(3):
        try:
            codes.append(agent.run("sync").code)
        except AssertionError as error:
            codes.append(str(error).strip().splitlines()[-1][:90])
    assert "late@example.com" in locked.membership()["app-a"]
    assert codes[-1] in (0, 1)


def test_a_managed_account_that_was_replaced_does_not_stay_active(agent: Agent, locked: VendorService) -> None:
    """The account that was set aside is the organisation's own, active, and in its groups, for ever."""
    cycle(agent, locked, person("guest") + STAFF + APP_A, changed_address="replace")
    drop_group_patches(locked, "before")
    cycle(agent, locked, MOVED + STAFF + APP_A, changed_address="replace")
    locked.faults.clear()
    disabled = person("guest", mail=NEW, extra="pwdAccountLockedTime: 000001010000Z\n")
    cycle(agent, locked, disabled + STAFF + APP_A, changed_address="replace")
    agent.sync()
    agent.sync("--full")
    assert "guest@example.com" not in locked.active()


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
