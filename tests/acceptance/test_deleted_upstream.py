"""Accounts that somebody deletes upstream by hand: when that is noticed, what proves it, and what follows."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim2_server import Scim2Server
from tests.servers.scim_service import Fault, Request, ScimService
from tests.servers.vendor_service import VendorService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "members_from": 0}
GUEST_NAME = "guest@partner.example"
GUEST, STAFF = person("guest", mail=GUEST_NAME), person("staff")
BOTH = GUEST + STAFF + group("app-a", "guest", "staff")


@pytest.fixture
def three(agent: Agent, scim: ScimService) -> Agent:
    """Three people in a group, and all of them upstream."""
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    assert agent.sync()["exit_code"] == 0
    return agent


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


def id_of(service: ScimService, user_name: str) -> str:
    return next(scim_id for scim_id, user in service.users.items() if user["userName"] == user_name)


def delete_by_hand(service: ScimService, user_name: str) -> None:
    """As services do it: the user also goes out of its groups."""
    scim_id = id_of(service, user_name)
    del service.users[scim_id]
    for held in service.groups.values():
        held["members"] = [member for member in held.get("members", []) if member["value"] != scim_id]


def let_a_week_pass(agent: Agent) -> None:
    """Make the scheduled reconciliation due."""
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        before = (datetime.now(UTC) - timedelta(days=8)).isoformat()
        connection.execute("update fact set value = ? where name = 'full reconciliation begun at'", (before,))


def is_listing(request: Request) -> bool:
    return request.method == "GET" and "/Users?" in request.path and "filter" not in request.path


def is_look_at_one(request: Request) -> bool:
    return request.method == "GET" and "/Users/" in request.path


def looks(service: ScimService, since: int) -> tuple[int, int]:
    """Count the pages that were listed, and the users that were looked up singly."""
    requests = service.requests[since:]
    return sum(map(is_listing, requests)), sum(map(is_look_at_one, requests))


def invited(agent: Agent, service: VendorService, content: str = BOTH) -> None:
    agent.configure(service, guard=OPEN, upstream={"profile": "hugging-face"})
    agent.ldif.write_text(content)
    assert agent.sync()["exit_code"] == 0


def as_bytes(*users: dict[str, Any]) -> bytes:
    return json.dumps({"totalResults": len(users), "Resources": list(users)}).encode()


# --- when everything is compared ------------------------------------------------------------------------------------


@pytest.mark.parametrize("due", ["by hand", "by schedule"])
def test_who_was_deleted_upstream_is_made_again_when_everything_is_compared(
    three: Agent, scim: ScimService, due: str
) -> None:
    delete_by_hand(scim, "u1@example.com")
    before = len(scim.requests)
    assert three.sync()["counts"]["requests"] == 0  # an idle cycle asks nothing
    if due == "by schedule":
        let_a_week_pass(three)

    report = three.sync(*(["--full"] if due == "by hand" else []))

    assert report["exit_code"] == 0
    assert looks(scim, before) == (1, 1)
    assert scim.membership() == {"app-a": mails(*uids(3))}
    assert scim.active() == mails(*uids(3))
    assert three.sync()["counts"]["requests"] == 0


def test_an_external_user_of_a_service_that_locks_profiles_is_made_again_too(agent: Agent) -> None:
    with VendorService("locked") as locked:
        agent.configure(locked, guard=OPEN, upstream={"external_users": "locked"})
        agent.ldif.write_text(BOTH)
        agent.sync()
        delete_by_hand(locked, GUEST_NAME)

        agent.sync("--full")

        assert locked.membership() == {"app-a": {GUEST_NAME, "staff@example.com"}}
        assert locked.breaches == []


def test_where_nobody_is_missing_the_pages_of_the_listing_are_all_that_is_asked_about_people(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(250) + group("app-a", *uids(250)))
    agent.sync()
    before = len(scim.requests)

    assert agent.sync("--full")["counts"]["writes"] == 0

    assert looks(scim, before) == (3, 0)
    assert len(scim.requests) == before + 3 + 1  # and the one group is read


def test_a_leaver_who_was_deleted_upstream_is_forgotten_and_a_new_account_when_back(
    three: Agent, scim: ScimService
) -> None:
    three.ldif.write_text(people(2) + group("app-a", *uids(2)))
    three.sync()
    delete_by_hand(scim, "u2@example.com")
    assert three.sync("--full")["exit_code"] == 0
    assert len(scim.users) == 2
    three.ldif.write_text(people(3) + group("app-a", *uids(3)))

    report = three.sync()

    assert report["exit_code"] == 0
    assert report["counts"]["create user"] == 1
    assert scim.membership() == {"app-a": mails(*uids(3))}


def test_an_account_set_aside_that_was_deleted_upstream_is_forgotten(agent: Agent) -> None:
    """Its domain is protected, so nothing is sent that would meet the 404."""
    with VendorService("locked") as locked:
        rules = {"changed_address": "replace", "protected_domains": ["partner.example"]}
        agent.configure(locked, guard=OPEN, upstream={"external_users": "locked"}, external=rules)
        agent.ldif.write_text(BOTH)
        agent.sync()
        agent.ldif.write_text(BOTH.replace(GUEST_NAME, "new@partner.example"))
        agent.sync()
        agent.sync()
        delete_by_hand(locked, GUEST_NAME)

        agent.sync("--full")

        assert locked.membership() == {"app-a": {"new@partner.example", "staff@example.com"}}
        assert agent.sync()["counts"]["planned"] == 0
        with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
            assert connection.execute("select count(*) from former_account").fetchone() == (0,)


def test_with_a_service_of_others_who_was_deleted_is_made_again_and_nobody_else(
    agent: Agent, real_scim: Scim2Server
) -> None:
    agent.configure(real_scim, guard=OPEN)
    agent.ldif.write_text(people(120) + group("app-a", *uids(120)))
    agent.sync()
    deleted = next(user["id"] for user in real_scim.users() if user["userName"] == "u7@example.com")
    authorization = {"Authorization": f"Bearer {real_scim.token}"}
    httpx.delete(f"{real_scim.url}/Users/{deleted}", headers=authorization).raise_for_status()

    report = agent.sync("--full")

    assert (report["exit_code"], report["counts"]["create user"]) == (0, 1)
    assert {user["userName"] for user in real_scim.users()} == mails(*uids(120))


# --- what proves nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["nobody", "always the same page", "no ids"])
def test_a_listing_that_leaves_accounts_out_proves_nothing(three: Agent, scim: ScimService, shown: str) -> None:
    answer = {
        "nobody": as_bytes(),
        "always the same page": as_bytes(next(iter(scim.users.values()))),
        "no ids": as_bytes({"userName": "u0@example.com"}),
    }[shown]
    scim.faults.append(Fault(is_listing, times=99, status=200, body=answer))

    report = three.sync("--full")

    assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)
    assert scim.membership() == {"app-a": mails(*uids(3))}


@pytest.mark.parametrize("status", [400, 403, 404, 500, 501])
def test_a_service_that_does_not_list_its_users_holds_nothing_else_up(
    three: Agent, scim: ScimService, status: int
) -> None:
    scim.faults.append(Fault(is_listing, times=99, status=status))
    three.ldif.write_text(people(4) + group("app-a", *uids(4)))

    report = three.sync("--full")

    assert report["exit_code"] == 0
    assert report["counts"]["create user"] == 1
    assert scim.membership() == {"app-a": mails(*uids(4))}


@pytest.mark.parametrize("status", [200, 400, 403, 410, 500])
def test_only_a_404_for_the_account_itself_is_evidence(three: Agent, scim: ScimService, status: int) -> None:
    scim.faults.append(Fault(is_listing, times=99, status=200, body=as_bytes()))
    scim.faults.append(Fault(is_look_at_one, times=99, status=status))

    report = three.sync("--full")

    assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)


def test_a_404_that_no_scim_service_sent_is_no_evidence_and_stops_nothing(three: Agent, scim: ScimService) -> None:
    page = {"body": b"<html>no such page</html>", "headers": {"Content-Type": "text/html"}}
    scim.faults.append(Fault(is_listing, times=99, status=200, body=as_bytes()))
    scim.faults.append(Fault(is_look_at_one, times=99, status=404, **page))
    three.ldif.write_text(people(4) + group("app-a", *uids(4)))

    report = three.sync("--full")

    assert report["exit_code"] == 0
    assert report["counts"]["create user"] == 1
    assert scim.membership() == {"app-a": mails(*uids(4))}


# --- when somebody is to be added to a group ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 200])
def test_a_member_who_was_deleted_upstream_is_made_again_and_added_in_the_next_cycle(
    three: Agent, scim: ScimService, status: int
) -> None:
    scim.unknown_member = status
    delete_by_hand(scim, "u1@example.com")
    three.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", *uids(3)))

    found = three.sync()

    assert found["exit_code"] == 1
    assert [text for text in found["sentences"] if "u1@example.com" in text and "next cycle creates it again" in text]
    assert scim.membership() == {"app-a": mails("u0", "u2"), "app-b": mails("u0", "u2")}

    report = three.sync()

    assert (report["exit_code"], report["counts"]["rejected"]) == (0, 0)
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(3))}
    assert three.sync()["counts"]["requests"] == 0


def test_a_member_whom_the_service_refuses_and_has_is_not_taken_for_deleted(three: Agent, scim: ScimService) -> None:
    refused = id_of(scim, "u1@example.com")
    scim.faults.append(Fault(lambda r: r.method == "PATCH" and refused in str(r.body), times=99, status=400))
    three.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", *uids(3)))

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if f"1 of 3 members were refused, among them {refused}" in text]
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails("u0", "u2")}
    assert "create user" not in three.sync()["counts"]


def test_a_member_whose_invitation_is_gone_is_told_of_and_not_invited_again(
    agent: Agent, invite: VendorService
) -> None:
    invited(agent, invite)
    delete_by_hand(invite, GUEST_NAME)
    agent.ldif.write_text(BOTH + group("app-b", "guest", "staff"))

    found = agent.sync()
    later = agent.sync()

    assert found["exit_code"] == 1
    assert [text for text in found["sentences"] if GUEST_NAME in text and "declined" in text]
    assert [report["counts"]["rejected"] for report in (found, later)] == [1, 1]
    assert later["counts"]["requests"] == 0
    assert invite.invitations == [GUEST_NAME]

    agent.sync("--full")

    assert invite.membership() == {name: {GUEST_NAME, "staff@example.com"} for name in ("app-a", "app-b")}


# --- invitations ----------------------------------------------------------------------------------------------------


def test_an_invitation_that_is_gone_is_told_of_and_sent_again_only_when_somebody_asks(
    agent: Agent, invite: VendorService
) -> None:
    invited(agent, invite)
    delete_by_hand(invite, GUEST_NAME)
    let_a_week_pass(agent)

    found = agent.sync()
    later = agent.sync()
    let_a_week_pass(agent)
    a_week_later = agent.sync()

    assert found["exit_code"] == 1
    assert [text for text in found["sentences"] if GUEST_NAME in text and "declined" in text and "sync --full" in text]
    assert [report["counts"]["rejected"] for report in (found, later, a_week_later)] == [1, 1, 1]
    assert invite.invitations == [GUEST_NAME]
    assert invite.membership() == {"app-a": {"staff@example.com"}}

    agent.sync("--full")

    assert invite.invitations == [GUEST_NAME, GUEST_NAME]
    assert invite.membership() == {"app-a": {GUEST_NAME, "staff@example.com"}}
    assert agent.sync()["counts"]["rejected"] == 0


def test_who_needs_no_invitation_is_made_again_by_schedule(agent: Agent, invite: VendorService) -> None:
    invited(agent, invite)
    delete_by_hand(invite, "staff@example.com")
    let_a_week_pass(agent)

    assert agent.sync()["exit_code"] == 0

    assert invite.membership() == {"app-a": {GUEST_NAME, "staff@example.com"}}
    assert invite.invitations == [GUEST_NAME]


def test_a_gone_invitation_of_somebody_who_has_left_is_forgotten_without_a_word(
    agent: Agent, invite: VendorService
) -> None:
    invited(agent, invite)
    agent.ldif.write_text(GUEST + STAFF + group("app-a", "staff"))
    agent.sync()
    delete_by_hand(invite, GUEST_NAME)
    let_a_week_pass(agent)

    report = agent.sync()

    assert (report["exit_code"], report["sentences"], report["counts"]["rejected"]) == (0, [], 0)
