"""`rollcall provision WHO`: one person now, and nobody else."""

from __future__ import annotations

import time

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.scim_service import Fault, ScimService

APP = group("app-a", *uids(3))


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + APP)
    agent.sync()
    return agent


def test_a_joiner_is_in_at_once_and_nobody_else_is_touched(ready: Agent, scim: ScimService) -> None:
    joined = people(2) + person("new") + person("other") + group("app-a", "u0", "u1", "new", "other")
    ready.ldif.write_text(joined + group("app-b", group_dn("app-a")))
    before = len(scim.writes())

    done = ready.run("provision", "new@example.com")

    assert done.code == 0
    assert sorted(done.out.splitlines()[:4]) == [
        "add members app-a: done, 1 added",
        "add members app-b: done, 1 added",
        "create group app-b: done, created",
        "create user new@example.com: done, created",
    ]
    assert "new@example.com is provisioned: active upstream as SCIM id" in done.out
    assert scim.active() == {f"u{number}@example.com" for number in range(3)} | {"new@example.com"}
    assert scim.membership() == {
        "app-a": {f"u{number}@example.com" for number in range(3)} | {"new@example.com"},
        "app-b": {"new@example.com"},
    }
    assert len(scim.writes()) == before + 4

    ready.sync()
    assert scim.active() == {"u0@example.com", "u1@example.com", "new@example.com", "other@example.com"}
    assert ready.sync()["counts"]["planned"] == 0


def test_a_leaver_is_out_at_once(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(1) + group("app-a", "u0"))

    done = ready.run("provision", "u2@example.com", "--json")

    assert [item["verb"] for item in done.document["done"]] == ["remove members", "deactivate user"]
    assert done.document["provisioned"] is False
    assert scim.active() == {"u0@example.com", "u1@example.com"}


def test_the_guard_holds_as_in_a_cycle(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, guard={"users": 0, "users_share": "0%"})
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))

    done = ready.run("provision", "u2@example.com")

    assert done.code == 3
    assert "Held back by the guard: 1 of 3 active users would be deactivated; the limit is 0" in done.out
    assert "u2@example.com" in scim.active()


def test_what_the_policy_keeps_out_stays_out(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, external={"policy": "skip"})
    ready.sync()
    ready.ldif.write_text(people(3) + person("guest", mail="guest@p.example") + group("app-a", *uids(3), "guest"))

    done = ready.run("provision", "guest@p.example")

    assert done.code == 1
    assert "nothing to push" in done.out
    assert "guest@p.example is not provisioned: external, and the policy is to skip external users." in done.out
    assert "guest@p.example" not in scim.active()


def test_a_refusal_is_told_in_the_words_of_the_upstream(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    body = b'{"detail": "no licence left", "status": "400"}'
    scim.faults.append(Fault(lambda r: r.method == "POST", times=9, status=400, body=body))

    done = ready.run("provision", "u3@example.com")

    assert done.code == 1
    assert "create user u3@example.com: rejected, 400 Bad Request, no licence left" in done.out


def test_a_source_that_cannot_be_read_is_told(ready: Agent, scim: ScimService) -> None:
    ready.ldif.unlink()

    done = ready.run("provision", "u1@example.com")

    assert done.code == 4
    assert scim.membership() == {"app-a": {f"u{number}@example.com" for number in range(3)}}


@pytest.mark.parametrize(
    ("who", "code", "said"),
    [("nobody@example.com", 1, "nobody@example.com"), ("", 2, "WHO is empty"), ("Example", 1, "Example")],
)
def test_who_is_not_one_person_gets_nothing(ready: Agent, scim: ScimService, who: str, code: int, said: str) -> None:
    before = len(scim.writes())

    done = ready.run("provision", who)

    assert done.code == code
    assert said in done.out + done.err
    assert len(scim.writes()) == before


def test_new_settings_are_for_a_whole_cycle(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, scope={"groups": ["name:app-b"]})

    done = ready.run("provision", "u1@example.com")

    assert done.code == 2
    assert "Run rollcall sync first" in done.err


def test_the_reconciliation_that_is_due_is_left_to_the_next_cycle(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, schedule={"full_every": "1s"})
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u1@example.com")
    del scim.users[gone]
    for item in scim.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]

    time.sleep(1.1)  # it is due now
    assert ready.run("provision", "u0@example.com").code == 0
    assert "u1@example.com" not in scim.active()
    ready.sync()

    assert "u1@example.com" in scim.active()
