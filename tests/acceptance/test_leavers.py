"""Deactivated, kept for a while, deleted where the policy says so: and back again."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}
ALL = people(3) + group("app-a", *uids(3))
WITHOUT = people(2) + group("app-a", *uids(2))


def months_pass(agent: Agent, months: int = 2) -> None:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        connection.execute(
            "update ledger_user set deactivated_at = datetime(deactivated_at, ?)", (f"-{months} months",)
        )
        connection.execute("update ledger_group set left_at = datetime(left_at, ?)", (f"-{months} months",))


def configured(agent: Agent, scim: ScimService, **leavers: str) -> None:
    agent.configure(scim, guard=OPEN, leavers=leavers)


def test_nobody_is_ever_deleted_unless_the_settings_say_so(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim)
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent, 100)

    assert agent.sync("--full")["counts"]["writes"] == 0
    assert len(scim.users) == 3


def test_who_has_been_inactive_for_long_is_deleted(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    assert agent.sync()["counts"]["planned"] == 0
    assert len(scim.users) == 3
    months_pass(agent)

    report = agent.sync()

    assert report["counts"]["delete user"] == 1
    assert {user["userName"] for user in scim.users.values()} == {"u0@example.com", "u1@example.com"}
    assert agent.sync()["counts"]["planned"] == 0


def test_who_returns_in_time_is_the_same_account_again(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    ids = set(scim.users)
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    agent.ldif.write_text(ALL)
    agent.sync()
    months_pass(agent)

    assert agent.sync()["counts"]["writes"] == 0
    assert set(scim.users) == ids
    assert "u2@example.com" in scim.active()


def test_who_returns_too_late_is_made_again(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)
    agent.sync()
    agent.ldif.write_text(ALL)

    assert agent.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == {f"u{number}@example.com" for number in range(3)}


def test_who_returns_in_the_very_cycle_in_which_the_time_is_over_is_not_deleted(
    agent: Agent, scim: ScimService
) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    ids = set(scim.users)
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)
    agent.ldif.write_text(ALL)

    agent.sync()

    assert set(scim.users) == ids
    assert len(scim.active()) == 3


def test_a_disabled_person_who_is_still_listed_is_kept(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    disabled = person("u2", extra="nsAccountLock: TRUE\n")
    agent.ldif.write_text(people(2) + disabled + group("app-a", *uids(3)))
    agent.sync()
    assert "u2@example.com" not in scim.active()
    months_pass(agent)

    agent.sync()

    assert len(scim.users) == 3


def test_what_was_there_before_is_never_deleted(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d", delete_groups_after="30d")
    scim.add_user(userName="u2@example.com")
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)

    agent.sync()

    assert "u2@example.com" in {user["userName"] for user in scim.users.values()}


def test_while_a_source_cannot_be_read_nobody_is_deleted(agent: Agent, scim: ScimService) -> None:
    partners = {"name": "partners", "connector": "ldif", "file": "partners.ldif"}
    other = agent.directory / "partners.ldif"
    other.write_text(person("guest") + group("app-p", "guest"))
    agent.configure(
        scim, {"name": "corp", "connector": "ldif", "file": "directory.ldif"}, partners, guard=OPEN,
        leavers={"delete_after": "30d"},
    )  # fmt: skip
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)
    other.unlink()

    agent.sync()

    assert len(scim.users) == 4


def test_deletions_are_counted_by_the_guard(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(people(15) + group("app-a", *uids(15)))
    agent.sync()
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    months_pass(agent)
    agent.configure(scim, leavers={"delete_after": "30d"})

    held = agent.sync()

    assert held["exit_code"] == 3
    assert "14 of 15 active users would be deactivated or deleted" in held["sentences"][0]
    assert len(scim.users) == 15
    assert agent.run("approve", held["plan_digest"]).code == 0
    assert agent.sync()["exit_code"] == 0
    assert len(scim.users) == 1


def test_an_account_that_is_the_persons_own_is_never_deleted(agent: Agent, locked: VendorService) -> None:
    leavers = {"delete_after": "30d", "delete_external_after": "30d"}
    agent.configure(locked, guard=OPEN, leavers=leavers, upstream={"external_users": "locked"})
    guest = person("guest", mail="guest@partner.example")
    agent.ldif.write_text(people(2) + guest + group("app-a", "u0", "u1", "guest"))
    agent.sync()
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    months_pass(agent)

    agent.sync()

    assert {user["userName"] for user in locked.users.values()} == {"u0@example.com", "guest@partner.example"}


def test_external_users_have_a_time_of_their_own(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_external_after="30d")
    guest = person("guest", mail="guest@partner.example")
    agent.ldif.write_text(people(2) + guest + group("app-a", "u0", "u1", "guest"))
    agent.sync()
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    months_pass(agent)

    agent.sync()

    assert {user["userName"] for user in scim.users.values()} == {"u0@example.com", "u1@example.com"}


def test_a_group_that_left_the_scope_long_ago_is_deleted_once_it_is_empty(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_groups_after="30d")
    agent.ldif.write_text(ALL + group("app-b", "u0"))
    agent.sync()
    agent.ldif.write_text(ALL)
    agent.sync()
    assert scim.membership() == {"app-a": {f"u{number}@example.com" for number in range(3)}, "app-b": set()}
    months_pass(agent)

    assert agent.sync()["counts"]["delete group"] == 1
    assert list(scim.membership()) == ["app-a"]


def test_a_group_in_which_somebody_else_has_put_people_is_not_deleted(agent: Agent, scim: ScimService) -> None:
    configured(agent, scim, delete_groups_after="30d")
    agent.ldif.write_text(ALL + group("app-b", "u0"))
    agent.sync()
    agent.ldif.write_text(ALL)
    agent.sync()
    stranger = scim.add_user(userName="stranger")
    app_b = next(item for item in scim.groups.values() if item["displayName"] == "app-b")
    app_b["members"] = [{"value": stranger}]
    months_pass(agent)

    report = agent.sync()

    assert report["exit_code"] == 1
    assert "it has members that Rollcall does not know" in str(report["sentences"])
    assert "app-b" in scim.membership()


@pytest.mark.parametrize("status", [404, 403])
def test_a_delete_that_is_answered_otherwise(agent: Agent, scim: ScimService, status: int) -> None:
    configured(agent, scim, delete_after="30d")
    agent.ldif.write_text(ALL)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)
    scim.faults.append(Fault(lambda r: r.method == "DELETE", times=1, status=status))

    report = agent.sync()

    assert report["exit_code"] == (0 if status == 404 else 1)
    assert agent.sync()["exit_code"] == 0


@pytest.mark.parametrize("trouble", ["the state is lost", "the answer is lost"])
def test_what_was_taken_over_is_not_taken_for_our_own_later(agent: Agent, scim: ScimService, trouble: str) -> None:
    configured(agent, scim, delete_after="30d", delete_groups_after="30d")
    scim.add_user(userName="u2@example.com")
    agent.ldif.write_text(ALL)
    if trouble == "the answer is lost":
        scim.faults.append(Fault(lambda r: r.method == "PUT", times=9, drop="after"))
    agent.sync()
    scim.faults.clear()
    if trouble == "the state is lost":
        shutil.rmtree(agent.state)
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    months_pass(agent)

    agent.sync()

    assert "u2@example.com" in {user["userName"] for user in scim.users.values()}


def test_who_is_still_in_a_group_that_is_held_is_not_deleted(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"protected": ["name:app-kept"]}, leavers={"delete_after": "30d"})
    agent.ldif.write_text(people(20) + group("app-kept", "u0") + group("app-all", *uids(20)[1:]))
    agent.sync()
    agent.ldif.write_text("".join(person(uid) for uid in uids(20)[1:]) + group("app-all", *uids(20)[1:]))
    agent.sync()
    assert "u0@example.com" not in scim.active()
    months_pass(agent)

    agent.sync()

    assert "u0@example.com" in {user["userName"] for user in scim.users.values()}
