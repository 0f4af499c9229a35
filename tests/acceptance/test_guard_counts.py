"""What the guard counts and lets through in cases that are easily taken for each other."""

from __future__ import annotations

import sqlite3

import pytest

from tests.acceptance.guests import APP_A, GUEST, MOVED, NEW, OLD, STAFF, STAFF_NAME, cycle
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, person, person_dn, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService

REPLACE = {"changed_address": "replace"}
GONE_QUIET = group("app-a", "staff")


def accept(invite: VendorService) -> None:
    """Everybody takes up the invitation."""
    for user in invite.users.values():
        user["active"] = True


def mails(names: list[str]) -> set[str]:
    return {f"{name}@example.com" for name in names}


def test_while_one_group_is_held_another_removal_lets_no_deactivation_through(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"users": 50})
    rest = group("app-rest", *uids(100)[:20])
    agent.ldif.write_text(people(100) + group("app-a", *uids(100)) + group("app-b", "u0", "u1") + rest)
    agent.sync()
    agent.ldif.write_text(people(100) + group("app-a", *uids(60)) + group("app-b", "u0") + rest)

    held = agent.sync()

    assert held["exit_code"] == 3
    assert scim.membership()["app-b"] == mails(["u0"])
    assert scim.active() == scim.membership()["app-a"] == mails(uids(100))


def test_who_cannot_be_deactivated_is_let_go_only_with_the_last_membership(agent: Agent, locked: VendorService) -> None:
    names = [f"g{number}" for number in range(15)]
    guests = "".join(person(name, mail=f"{name}@partner.example") for name in names)
    rest = people(300) + group("app-rest", *uids(300))
    cycle(agent, locked, rest + guests + group("app-a", "u0", *names), guard={})
    agent.ldif.write_text(rest + group("app-a", "u0"))

    held = agent.sync()

    assert held["exit_code"] == 3
    assert "15 memberships and 15 users held back" in held["sentences"][0]
    assert len(locked.membership()["app-a"]) == 16
    assert agent.run("status", "--json").document["upstream"]["active"] == 315


def test_the_accounts_that_were_replaced_are_members_too(agent: Agent, locked: VendorService) -> None:
    def guests(domain: str) -> str:
        listed = "".join(person(name, mail=f"{name}@{domain}") for name in uids(12))
        return listed + STAFF + group("app-a", "staff", *uids(12))

    cycle(agent, locked, guests("partner.example"), guard={"users": 100}, **REPLACE)
    cycle(agent, locked, guests("agency.example"), guard={"users": 100}, **REPLACE)

    held = agent.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose 12 of 25 members" in held["sentences"][0]


def test_an_account_that_is_still_to_be_retired_is_one_of_an_active_user(agent: Agent, invite: VendorService) -> None:
    cycle(agent, invite, GUEST + STAFF + APP_A, **REPLACE)
    cycle(agent, invite, MOVED + STAFF + APP_A, **REPLACE)
    accept(invite)
    old = next(scim_id for scim_id, user in invite.users.items() if user["userName"] == OLD)
    invite.faults.append(Fault(lambda r: r.method in {"PUT", "PATCH"} and r.path.endswith(old), times=99, status=400))
    cycle(agent, invite, STAFF + GONE_QUIET, **REPLACE)
    assert invite.active() == {OLD, STAFF_NAME}

    held = cycle(agent, invite, STAFF + GONE_QUIET, guard={"users": 0, "users_share": "0%"}, **REPLACE)

    assert "1 of 2 active users would be deactivated" in held["sentences"][0]


def test_a_clock_that_ran_ahead_gives_nothing_back(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    codes = []
    for left in (40, 32, 31, 29):
        agent.ldif.write_text(people(40) + group("app-a", *uids(left)) + group("app-rest", *uids(40)))
        codes.append(agent.sync()["exit_code"])
        if left == 31:
            with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
                ahead = "update spending set at = datetime(at, '30 days') where id = (select max(id) from spending)"
                assert connection.execute(ahead).rowcount == 1

    assert codes == [0, 0, 0, 3]
    assert scim.membership()["app-a"] == mails(uids(31))


@pytest.mark.parametrize("protected", [True, False])
def test_the_replaced_account_of_somebody_protected_by_name_stays_where_it_is(
    agent: Agent, locked: VendorService, *, protected: bool
) -> None:
    guard = NO_LIMITS | {"protected": [person_dn("guest")] if protected else []}
    for directory in (GUEST, MOVED, MOVED, MOVED):
        cycle(agent, locked, directory + STAFF + APP_A, guard=guard, **REPLACE)

    assert locked.membership()["app-a"] == {NEW, STAFF_NAME} | ({OLD} if protected else set())


@pytest.mark.parametrize("by", ["domain", "name", "nothing"])
def test_a_replaced_account_in_no_group_is_retired_unless_it_is_protected(
    agent: Agent, invite: VendorService, by: str
) -> None:
    guard = NO_LIMITS | ({"protected": [person_dn("guest")]} if by == "name" else {})
    rules: dict[str, object] = REPLACE | ({"protected_domains": ["partner.example"]} if by == "domain" else {})
    refused = Fault(lambda r: r.method == "PATCH" and "/Groups/" in r.path, times=99, status=400)
    invite.faults.append(refused)
    cycle(agent, invite, GUEST + STAFF + APP_A, guard=guard, **rules)
    accept(invite)
    moved = person("guest", mail="guest@agency.example")
    cycle(agent, invite, moved + STAFF + APP_A, guard=guard, **rules)
    invite.faults.clear()
    agent.sync()
    agent.sync()

    assert (OLD in invite.active()) is (by != "nothing")
    assert len(invite.users) == 3


def test_a_replaced_account_is_not_let_go_while_it_is_not_known_where_it_is_a_member(
    agent: Agent, invite: VendorService
) -> None:
    """The answer to its only addition is lost, and the group cannot be read since."""
    group_calls = Fault(lambda r: "/Groups/" in r.path and r.method == "GET", times=9999, status=400)
    invite.faults.append(Fault(lambda r: "/Groups/" in r.path and r.method == "PATCH", times=9999, drop="after"))
    invite.faults.append(group_calls)
    cycle(agent, invite, GUEST + STAFF + APP_A, **REPLACE)
    assert OLD in invite.membership()["app-a"]
    accept(invite)
    for _ in range(2):
        cycle(agent, invite, MOVED + STAFF + APP_A, **REPLACE)
    assert OLD in invite.active()

    invite.faults.clear()
    for _ in range(3):
        agent.sync()

    assert invite.membership() == {"app-a": {NEW, STAFF_NAME}}
    assert OLD not in invite.active()
