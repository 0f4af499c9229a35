"""The invariants, each at the boundary: what stands upstream after a cycle."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn, uids
from tests.servers.scim_service import Fault, Request, ScimService


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_a_nested_group_that_can_no_longer_be_read_keeps_its_people(ready: Agent, scim: ScimService) -> None:
    team = group("team-b", "u1", "u2")
    ready.ldif.write_text(people(3) + group("app-a", "u0", group_dn("team-b")) + team)
    ready.sync()
    ready.ldif.write_text(people(3) + group("app-a", "u0", group_dn("team-b")))

    report, status = ready.sync(), ready.run("status", "--json").document

    assert report["counts"]["writes"] == 0
    assert scim.membership() == {"app-a": mails("u0", "u1", "u2")}
    assert status["unresolved"] == [{"group": "app-a", "members": 1}]


def test_a_member_list_that_is_not_whole_removes_nobody_from_its_group(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(4) + group("app-a", "u0", "u1") + group("app-b", "u0", "u1"))
    ready.sync()
    cut = group("app-a", "u0", "u2").replace("\n\n", "\nmember: this is no name\n\n")
    ready.ldif.write_text(people(4) + cut + group("app-b", "u0", "u2"))

    ready.sync()

    assert scim.membership() == {"app-a": mails("u0", "u1", "u2"), "app-b": mails("u0", "u2")}


def test_a_leaver_is_deactivated_and_a_returner_is_the_same_account(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()
    before = {user["userName"]: user["id"] for user in scim.users.values()}
    ready.ldif.write_text(people(2) + group("app-a", *uids(2)))
    ready.sync()
    gone = scim.active(), scim.membership()
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()

    assert gone == (mails("u0", "u1"), {"app-a": mails("u0", "u1")})
    assert {user["userName"]: user["id"] for user in scim.users.values()} == before
    assert scim.active() == mails("u0", "u1", "u2")
    assert "DELETE" not in {method for method, _ in scim.writes()}


def test_a_disabled_person_is_deactivated_and_never_created(ready: Agent, scim: ScimService) -> None:
    disabled = "nsAccountLock: TRUE\n"
    ready.ldif.write_text(people(2) + person("never", extra=disabled) + group("app-a", "u0", "u1", "never"))
    ready.sync()
    ready.ldif.write_text(
        person("u0")
        + person("u1", extra=disabled)
        + person("never", extra=disabled)
        + group("app-a", "u0", "u1", "never")
    )

    report = ready.sync()

    assert report["counts"]["deactivate user"] == 1
    assert scim.active() == mails("u0")
    assert len(scim.users) == 2


def test_a_group_that_leaves_the_scope_is_emptied_and_not_deleted(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", "u0", "u1") + group("app-b", "u1", "u2"))
    ready.sync()
    ready.configure(scim, scope={"groups": ["name:app-a"]})

    report = ready.sync()

    assert report["exit_code"] == 0
    assert scim.membership() == {"app-a": mails("u0", "u1"), "app-b": set()}
    assert scim.active() == mails("u0", "u1")


def test_changed_settings_remove_nothing_before_a_complete_read(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", "u0", "u1") + group("app-b", "u1", "u2"))
    ready.sync()
    before = scim.membership()
    ready.configure(scim, scope={"groups": ["name:app-a"]})
    whole = ready.ldif.read_text()
    ready.ldif.write_text(whole + "this is not LDIF\n")

    held = ready.sync()
    while_held = scim.membership()
    ready.ldif.write_text(whole)
    report = ready.sync()

    assert held["exit_code"] == 4
    assert "Removals wait for the first complete read" in " ".join(held["sentences"])
    assert while_held == before
    assert report["exit_code"] == 0
    assert scim.membership()["app-b"] == set()


def test_the_guard_holds_removals_only_and_one_approval_lets_exactly_them_through(
    ready: Agent, scim: ScimService
) -> None:
    ready.ldif.write_text(people(40) + group("app-a", *uids(40)))
    ready.sync()
    ready.ldif.write_text(people(20) + person("new") + group("app-a", *uids(20), "new"))

    held = ready.sync()
    while_held = scim.membership()["app-a"]
    status = ready.run("status")
    wrong = ready.run("approve", "0123456789abcdef")
    approved = ready.run("approve", held["plan_digest"])
    report = ready.sync()

    assert held["exit_code"] == status.code == 3
    assert held["counts"]["removals held"] == 21
    assert "20 of 40 active users would be deactivated; the limit is 10" in held["sentences"][0]
    assert "group app-a would lose 20 of 40 members; the limit is 10" in held["sentences"][0]
    assert while_held == mails(*uids(40), "new")
    assert wrong.code == 2
    assert approved.code == 0
    assert report["exit_code"] == 0
    assert scim.membership()["app-a"] == mails(*uids(20), "new")
    ready.ldif.write_text(people(40) + person("new") + group("app-a", *uids(40), "new"))
    ready.sync()
    ready.ldif.write_text(people(20) + person("new") + group("app-a", *uids(20), "new"))
    assert ready.sync()["exit_code"] == 3  # the same removals again: the approval is used up


def test_a_scope_that_selects_nothing_any_more_is_not_believed(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()
    ready.configure(scim, scope={"groups": ["name:ap-*"]})

    report = ready.sync()

    assert report["exit_code"] == 3
    assert "no group is selected any more" in report["sentences"][0]
    assert scim.membership() == {"app-a": mails(*uids(3))}
    assert scim.active() == mails(*uids(3))


def test_only_what_the_agent_created_or_adopted_is_touched(ready: Agent, scim: ScimService) -> None:
    stranger = scim.add_user(userName="stranger@elsewhere.example", active=True)
    adopted = scim.add_user(userName="U0@example.com", active=True)
    foreign = scim.add_user(userName="u2@example.com", externalId="somebody-else", active=True)
    old = scim.add_group(displayName="app-a", members=[{"value": stranger}])
    untouched = scim.add_group(displayName="app-b", externalId="not-ours", members=[{"value": stranger}])
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", "u1"))

    report = ready.sync()

    assert report["exit_code"] == 1
    assert len([s for s in report["sentences"] if "belongs to somebody else" in s]) == 2
    assert scim.users[adopted]["externalId"]
    assert scim.users[foreign]["externalId"] == "somebody-else"
    assert {m["value"] for m in scim.groups[old]["members"]} >= {stranger, adopted}
    assert scim.groups[untouched]["members"] == [{"value": stranger}]
    assert not any(stranger in path or foreign in path for _, path in scim.writes())


def test_adoption_can_be_forbidden(ready: Agent, scim: ScimService) -> None:
    scim.add_user(userName="u0@example.com", active=True)
    ready.configure(scim, upstream={"adopt": False})
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))

    report = ready.sync()

    assert report["exit_code"] == 1
    assert "[upstream] adopt is false" in report["sentences"][0]
    assert scim.membership() == {"app-a": mails("u1")}


def test_one_refused_object_is_recorded_with_its_reason_and_the_others_go_on(ready: Agent, scim: ScimService) -> None:
    scim.refuses = lambda user: "no such tier" if user["userName"].startswith("u1@") else None
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))

    report, status = ready.sync(), ready.run("status", "--json").document
    scim.refuses = lambda _user: None
    again = ready.sync()

    assert report["exit_code"] == 1
    assert scim.membership()["app-a"] == mails(*uids(4))
    assert [(item["dn"], item["reason"]) for item in status["rejected"]] == [
        (person_dn("u1"), "400 Bad Request, invalidValue: no such tier")
    ]
    assert status["rejected"][0]["next_attempt_at"] > status["rejected"][0]["since"]
    assert again["exit_code"] == 0
    assert ready.run("status", "--json").document["rejected"] == []


def test_removals_wait_when_the_constructive_half_fails_beyond_its_budget(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()
    scim.refuses = lambda _user: "closed today"
    newcomers = [f"n{number}" for number in range(15)]
    ready.ldif.write_text(people(2) + "".join(person(uid) for uid in newcomers) + group("app-a", *uids(2), *newcomers))

    report = ready.sync()

    assert report["exit_code"] == 1
    assert "Nothing was removed" in report["sentences"][0]
    assert "u2@example.com" in scim.active()


def test_users_stand_before_groups_before_members_and_removals_come_last(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", "u0", "u1") + group("app-b", "u2"))
    ready.sync()
    del scim.requests[:]
    ready.ldif.write_text(people(2) + person("new") + group("app-a", "u0", "new") + group("app-c", "u1"))

    ready.sync()

    def kind(request: Request) -> str:
        collection = request.path.split("/")[3].partition("?")[0]
        verbs = {op["op"] for op in (request.body or {}).get("Operations", [])}
        return f"{request.method} {collection} {'/'.join(sorted(verbs))}".strip()

    order = list(dict.fromkeys(kind(request) for request in scim.requests if request.method != "GET"))
    assert order == [
        "POST Users",
        "POST Groups",
        "PATCH Groups add",
        "PATCH Groups remove",
        "PATCH Users replace",
    ]


def test_what_somebody_deleted_upstream_is_made_again(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))
    ready.sync()
    scim.users.clear()
    scim.groups.clear()
    ready.ldif.write_text(
        person("u0", extra="displayName: Nil\n")
        + person("u1", extra="displayName: One\n")
        + person("u2")
        + group("app-a", *uids(3))
    )

    for _ in range(3):
        report = ready.sync()

    assert report["exit_code"] == 0
    assert scim.membership() == {"app-a": mails(*uids(3))}


def test_an_upstream_that_accepts_members_and_ignores_them_is_noticed(ready: Agent, scim: ScimService) -> None:
    scim.ignores_member_additions = True
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))

    report = ready.sync()

    assert report["exit_code"] == 1
    assert "2 of 2 members are not as asked when read back" in report["sentences"][0]


def test_every_write_upstream_has_an_audit_record(ready: Agent) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", *uids(2)))
    report = ready.sync()

    records = [json.loads(line) for line in (ready.state / "audit.jsonl").read_text().splitlines()]
    last = [record for record in records if record["cycle_id"] == report["cycle_id"]]
    assert [record["verb"] for record in records[:5]] == ["create user"] * 3 + ["create group", "add members"]
    assert [(record["verb"], record["result"]) for record in last] == [
        ("remove members", "done"),
        ("deactivate user", "done"),
    ]
    assert "absent from the complete read 2 of source corp" in last[1]["cause"]


def test_a_state_written_by_a_newer_version_is_left_alone(ready: Agent) -> None:
    ready.ldif.write_text(people(1) + group("app-a", "u0"))
    ready.sync()
    with sqlite3.connect(ready.state / "rollcall.sqlite3") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()

    done = ready.run("sync")

    assert done.code == 2
    assert "written by a newer version of Rollcall (schema 9999)" in done.err


def test_a_lost_state_takes_over_what_stands_upstream_without_a_duplicate(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(5) + group("app-a", *uids(5)))
    ready.sync()
    before = set(scim.users) | set(scim.groups)
    ready.configure(scim, agent={"state_dir": "another-state"})

    report = ready.sync()

    assert report["exit_code"] == 0
    assert set(scim.users) | set(scim.groups) == before
    assert scim.membership() == {"app-a": mails(*uids(5))}


def test_a_lost_answer_to_a_create_makes_no_duplicate(ready: Agent, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", times=3, drop="after"))
    scim.faults.append(Fault(lambda r: r.method == "POST" and "Groups" in r.path, times=1, drop="after"))
    ready.ldif.write_text(people(5) + group("app-a", *uids(5)))

    assert ready.sync()["exit_code"] == 0
    assert len(scim.users) == 5
    assert scim.membership() == {"app-a": mails(*uids(5))}


def test_plan_writes_nothing_and_says_what_sync_then_does(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    first = ready.run("plan", "--json").document
    state_after_plan = ready.state.exists()
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", *uids(2)))

    document = ready.run("plan", "--json").document
    requests = len(scim.requests)
    plain = ready.run("plan").out
    report = ready.sync()

    assert first["operations"] == {"create user": 3, "create group": 1, "add members": 1}
    assert not state_after_plan
    assert document["operations"] == {"remove members": 1, "deactivate user": 1}
    assert len(scim.requests) == requests + report["counts"]["requests"]
    assert "deactivate user u2@example.com (absent from the complete read 2 of source corp" in plain
    assert report["counts"]["deactivate user"] == report["counts"]["remove members"] == 1
