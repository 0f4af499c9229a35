"""What an administrator sees of a plan that is held, and what an approval lets through."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

STAFF = "".join(person(f"s{number}") for number in range(30))
STAFF_UIDS = [f"s{number}" for number in range(30)]


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(STAFF + people(30) + group("app-a", *uids(30)) + group("app-b", *STAFF_UIDS, *uids(3)))
    agent.sync()
    return agent


def half_gone(agent: Agent, left: int) -> None:
    agent.ldif.write_text(STAFF + people(30) + group("app-a", *uids(left)) + group("app-b", *STAFF_UIDS, *uids(3)))


def test_an_old_digest_is_refused_with_what_has_changed_since(ready: Agent, scim: ScimService) -> None:
    half_gone(ready, 12)
    first = ready.sync()["plan_digest"]
    half_gone(ready, 11)
    second = ready.sync()["plan_digest"]

    done = ready.run("approve", first)

    assert first != second
    assert done.code == 2
    assert f"The plan {first} has changed since it was held: 2 removals more" in done.err
    assert "deactivate user u11@example.com; remove u11@example.com from group app-a" in done.err
    assert f"What is held now has the digest {second}" in done.err
    assert len(scim.membership()["app-a"]) == 30

    assert ready.run("approve", second).code == 0
    assert ready.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 11


def test_an_approved_plan_that_changes_needs_a_new_approval(ready: Agent, scim: ScimService) -> None:
    half_gone(ready, 12)
    assert ready.run("approve", ready.sync()["plan_digest"]).code == 0
    half_gone(ready, 11)

    assert ready.sync()["exit_code"] == 3
    assert len(scim.membership()["app-a"]) == 30


def test_the_digest_that_plan_prints_can_be_approved_before_any_cycle_has_held_it(
    ready: Agent, scim: ScimService
) -> None:
    half_gone(ready, 12)
    digest = ready.run("plan", "--json").document["digest"]

    assert ready.run("approve", digest).code == 0
    assert ready.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 12


def test_plan_shows_the_removals_first_by_their_causes(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, scope={"groups": ["name:app-b"]})

    done = ready.run("plan")

    assert done.code == 3
    assert done.out.splitlines()[0].strip() == (
        "group app-a: the group is not selected any more ([scope] groups): "
        "27 users deactivated or deleted, 30 memberships removed"
    )
    causes = ready.run("plan", "--json").document["causes"]
    assert causes == [
        {
            "cause": "the group is not selected any more ([scope] groups)",
            "group": "app-a",
            "users": 27,
            "memberships": 30,
            "groups": 0,
        }
    ]


def test_nothing_held_is_nothing_to_approve(ready: Agent) -> None:
    done = ready.run("approve", "0123456789abcdef")

    assert done.code == 2
    assert "No removals with the digest 0123456789abcdef are held. Nothing is held" in done.err
