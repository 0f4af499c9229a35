"""Answers that are lost: what stands upstream is found out before anything is concluded from the ledger."""

from __future__ import annotations

import json

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, Request, ScimService

ATTEMPTS = 3


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, upstream={"members_per_patch": 2})
    return agent


def lose_answers(scim: ScimService, method: str, collection: str) -> None:
    """The service carries out every such request and nobody hears of it, until the agent gives up."""

    def matches(request: Request) -> bool:
        return request.method == method and f"/{collection}" in request.path

    scim.faults.append(Fault(matches, times=ATTEMPTS, drop="after"))


def test_somebody_deactivated_by_a_lost_answer_is_active_again_when_back(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    ready.sync()
    lose_answers(scim, "PATCH", "Users")
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))
    ready.sync()
    lost = scim.active()
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))

    ready.sync()

    assert lost == mails("u0", "u1")
    assert scim.active() == mails(*uids(3))
    assert ready.sync()["counts"]["requests"] == 0


def test_an_update_whose_answer_was_lost_is_undone_when_the_directory_undoes_it(
    ready: Agent, scim: ScimService
) -> None:
    before = person("u0", anchor="a") + person("u1") + group("app-a", "u0", "u1", anchor="g")
    ready.ldif.write_text(before)
    ready.sync()
    lose_answers(scim, "PUT", "Users")
    ready.ldif.write_text(before.replace("mail: u0@", "mail: other@"))
    ready.sync()
    lost = scim.active()
    ready.ldif.write_text(before)

    ready.sync()

    assert lost == mails("other", "u1")
    assert scim.active() == mails("u0", "u1")


def test_a_rename_whose_answer_was_lost_is_undone_when_the_directory_undoes_it(ready: Agent, scim: ScimService) -> None:
    before = people(2) + group("app-a", "u0", "u1", anchor="g")
    ready.ldif.write_text(before)
    ready.sync()
    lose_answers(scim, "PATCH", "Groups")
    ready.ldif.write_text(people(2) + group("app-b", "u0", "u1", anchor="g"))
    ready.sync()
    lost = set(scim.membership())
    ready.ldif.write_text(before)

    ready.sync()

    assert lost == {"app-b"}
    assert scim.membership() == {"app-a": mails("u0", "u1")}


def test_somebody_added_by_a_lost_answer_is_taken_out_when_the_directory_does(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", "u0", "u1") + group("app-b", *uids(3)))
    ready.sync()
    lose_answers(scim, "PATCH", "Groups")
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", *uids(3)))
    lost = ready.sync()
    there = scim.membership()["app-a"]
    ready.ldif.write_text(people(3) + group("app-a", "u0", "u1") + group("app-b", *uids(3)))

    reports = [ready.sync() for _ in range(3)]

    assert (lost["exit_code"], there) == (5, mails(*uids(3)))
    assert scim.membership()["app-a"] == mails("u0", "u1")
    assert reports[-1]["counts"]["requests"] == 0


def test_what_was_written_before_the_upstream_failed_is_in_the_audit_trail(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
    patches: list[Request] = []

    def second_patch(request: Request) -> bool:
        if request.method == "PATCH":
            patches.append(request)
        return len(patches) > 1

    scim.faults.append(Fault(second_patch, times=1000, status=401))
    report = ready.sync()

    records = [json.loads(line) for line in (ready.state / "audit.jsonl").read_text().splitlines()]
    assert report["exit_code"] == 5
    assert len(scim.membership()["app-a"]) == 2
    assert [(record["verb"], record["label"], record["result"]) for record in records[5:]] == [
        ("add members", "app-a", "interrupted")
    ]
    assert len(records[5]["members"]) == 4
    assert "refuses the token" in records[5]["detail"]
