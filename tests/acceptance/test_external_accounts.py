"""Accounts of external users in hard cases: replaced, set aside, interrupted, invited, and undecided."""

from __future__ import annotations

import time
from typing import Any

from tests.acceptance.guests import (
    APP_A,
    GUEST,
    MOVED,
    NEW,
    OLD,
    OPEN,
    SHUT,
    STAFF,
    STAFF_NAME,
    cycle,
    drop_group_patches,
    settles,
)
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService

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


def test_the_guard_counts_people_and_not_their_accounts(agent: Agent, locked: VendorService) -> None:
    def text(domain: str, count: int = 12) -> str:
        uids = [f"g{n}" for n in range(count)]
        guests = "".join(person(uid, mail=f"{uid}@{domain}") for uid in uids)
        return guests + STAFF + group("app-a", "staff", *uids)

    cycle(agent, locked, text("partner.example"), guard=SHUT, changed_address="replace")
    cycle(agent, locked, text("agency.example"), guard=SHUT, changed_address="replace")
    held = cycle(agent, locked, text("agency.example", 1), guard=SHUT, changed_address="replace")

    assert held["exit_code"] == 3
    assert "12 of 13 active users would be deactivated" in str(held["sentences"])
