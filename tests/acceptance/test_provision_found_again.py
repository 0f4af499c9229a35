"""What `rollcall provision` did can be found again, and what is told afterwards is as of its own read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.killing import kill_at
from tests.ldif_text import group, people, person, person_dn, uids
from tests.servers.scim_service import Fault, ScimService


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.sync()
    return agent


def trail(agent: Agent) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (agent.state / "audit.jsonl").read_text().splitlines()]


def provisioned(agent: Agent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = agent.run("status", "--json").document["provisioned"]
    return found


def test_status_shows_who_was_provisioned_when_and_with_what_outcome(ready: Agent) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    done = ready.run("provision", "u3@example.com", "--json").document

    (shown,) = provisioned(ready)
    assert shown["cycle_id"] == done["cycle_id"] == trail(ready)[-1]["cycle_id"]
    assert (shown["who"], shown["dn"], shown["outcome"]) == ("u3@example.com", person_dn("u3"), "done")
    assert datetime.fromisoformat(shown["started_at"]) < datetime.fromisoformat(shown["ended_at"])
    line = f"provision {shown['cycle_id']} at {shown['started_at']}, {person_dn('u3')}: done; 2 writes\n"
    assert line in ready.run("status").out


def test_an_id_of_the_trail_is_asked_for_as_such(ready: Agent) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    cycle_id = ready.run("provision", "u3@example.com", "--json").document["cycle_id"]
    ready.ldif.write_text(people(5) + group("app-a", *uids(5)))
    other = ready.sync()["cycle_id"]

    records = ready.run("audit", "--cycle", cycle_id, "--json").document

    assert [(record["verb"], record["cycle_id"]) for record in records] == [
        ("create user", cycle_id), ("add members", cycle_id),
    ]  # fmt: skip
    assert {record["label"] for record in ready.run("audit", "--cycle", other, "--json").document} == {
        "u4@example.com", "app-a",
    }  # fmt: skip
    assert ready.run("audit", "--cycle", "0000").out == "No record of the audit trail is about that.\n"
    assert "--cycle is empty" in ready.run("audit", "--cycle", " ").err


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(400, "create user u3@example.com rejected: 400 Bad Request"), (401, "stopped: The upstream")],
)
def test_what_went_wrong_is_the_outcome(ready: Agent, scim: ScimService, status: int, outcome: str) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    scim.faults.append(Fault(lambda request: request.method == "POST", times=9, status=status))
    ready.run("provision", "u3@example.com")

    assert outcome in provisioned(ready)[0]["outcome"]


def test_what_the_guard_holds_and_what_needs_nothing_are_outcomes(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, guard={"users": 0, "users_share": "0%"})
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))
    ready.run("provision", "u2@example.com")
    ready.run("provision", "u1@example.com")

    assert [item["outcome"] for item in provisioned(ready)] == ["nothing to push", "held back by the guard"]


def test_one_that_did_not_end_is_shown_as_that(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    process = ready.start("provision", "u3@example.com")

    assert kill_at(scim, process, lambda request: request.method == "POST", carried_out=False)

    (shown,) = provisioned(ready)
    assert (shown["outcome"], shown["ended_at"]) == ("did not end", None)
    assert f", {person_dn('u3')}: did not end\n" in ready.run("status").out


def test_one_that_could_not_begin_leaves_no_trace(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    (ready.state / "audit.jsonl").unlink()
    (ready.state / "audit.jsonl").mkdir()
    before = len(scim.requests)

    refused = ready.run("provision", "u3@example.com")

    assert refused.code == 2
    assert "audit trail" in refused.err
    assert provisioned(ready) == []
    assert len(scim.requests) == before


def test_only_the_last_ones_are_kept(ready: Agent) -> None:
    ids = [ready.run("provision", f"u{number % 3}@example.com", "--json").document["cycle_id"] for number in range(11)]

    assert [item["cycle_id"] for item in provisioned(ready)] == ids[:0:-1]


def test_who_is_nobody_or_several_leaves_no_trace(ready: Agent) -> None:
    ready.run("provision", "nobody@example.com")

    assert provisioned(ready) == []


def test_an_explanation_is_as_of_the_read_it_rests_on(ready: Agent) -> None:
    before = ready.run("explain", "u0", "--json").document
    ready.ldif.write_text(people(3) + person("late") + group("app-a", *uids(3), "late"))
    ready.run("provision", "u0")  # it reads, and pushes nothing of who is late

    after, out = ready.run("explain", "late", "--json").document, ready.run("explain", "late").out

    assert before["read_at"] == before["sources"][0]["last_read_at"] < before["as_of"]["ended_at"]
    assert after["read_at"] == after["sources"][0]["last_read_at"] > after["as_of"]["ended_at"]
    assert after["as_of"] == before["as_of"]
    read, ended = (
        f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
        for text in (after["read_at"], after["as_of"]["ended_at"])
    )
    assert f"\nAs of the read that ended at {read}, after the cycle that ended at {ended}, with exit code 0. " in out


def test_a_read_that_brought_nothing_makes_nothing_newer(ready: Agent) -> None:
    ready.ldif.unlink()
    ready.run("provision", "u0")

    out = ready.run("explain", "u0").out

    assert "\nAs of the cycle that ended at " in out
    assert "was failed; everything was last read completely at " in out
