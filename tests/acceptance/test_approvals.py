"""What an administrator sees of a plan that is held, and what an approval lets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.killing import kill_at
from tests.ldif_text import anchor_of, group, people, person, uids
from tests.servers.scim_service import Request, ScimService

STAFF = "".join(person(f"s{number}") for number in range(30))
STAFF_UIDS = [f"s{number}" for number in range(30)]
SOURCES = (("corp", "directory"), ("partners", "partners"))


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


def with_partners(agent: Agent, scim: ScimService) -> Path:
    """Add a source, and take half of a group out of the other one. Returns its file."""
    partners = agent.directory / "partners.ldif"
    partners.write_text(person("p") + group("app-p", "p", anchor=anchor_of("app-p")))
    agent.configure(scim, *({"name": n, "connector": "ldif", "file": f"{f}.ldif"} for n, f in SOURCES))
    agent.sync()
    half_gone(agent, 12)
    return partners


INCOMPLETE = "- The plan rests on an incomplete read of source partners: removals that rest on it are not part of it. "


@pytest.mark.parametrize("command", ["sync", "plan"])
def test_an_approval_tells_which_source_was_not_read_completely(ready: Agent, scim: ScimService, command: str) -> None:
    with_partners(ready, scim).unlink()
    document = ready.run(command, "--json").document
    digest = document["plan_digest" if command == "sync" else "digest"]

    done = ready.run("approve", digest)

    assert done.code == 0
    # Nobody is deactivated for being in no group while the groups of a source are not known.
    assert done.out.startswith("Approved: 18 memberships, once, until ")
    assert f"\n{INCOMPLETE}" in done.out
    assert "partners.ldif" in done.out.splitlines()[1]
    assert len(done.out.splitlines()) == 2
    ready.sync()
    assert len(scim.membership()["app-a"]) == 12


def test_an_approval_says_nothing_of_sources_that_were_read_completely(ready: Agent, scim: ScimService) -> None:
    with_partners(ready, scim)

    done = ready.run("approve", ready.sync()["plan_digest"])

    assert done.code == 0
    assert len(done.out.splitlines()) == 1


def test_what_no_approval_lifts_is_refused_with_the_reason(ready: Agent, scim: ScimService) -> None:
    partners = with_partners(ready, scim)
    ready.configure(scim, *ready.sources, scope={"nested": "direct"})
    partners.unlink()
    held = ready.sync()
    digest = ready.run("plan", "--json").document["digest"]

    done = ready.run("approve", digest)

    assert (held["exit_code"], held["counts"]["removals held"], held["plan_digest"]) == (4, 1, "")
    assert done.code == 2
    assert f"No approval lets the removals {digest} through: the settings are new or have changed" in done.err


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_approval_is_used_up_though_the_agent_is_killed_half_way(
    agent: Agent, scim: ScimService, *, carried_out: bool
) -> None:
    """Whoever kills the agent to stop a mistake does not want it carried out when it is made once more."""
    agent.configure(scim, upstream={"members_per_patch": 5, "workers": 1})
    everybody, half = people(60) + group("app-a", *uids(60)), people(30) + group("app-a", *uids(30))
    agent.ldif.write_text(everybody)
    agent.sync()
    agent.ldif.write_text(half)
    digest = agent.sync()["plan_digest"]
    assert agent.run("approve", digest).code == 0
    process = agent.start("sync")
    written = len(scim.writes())

    def third_write(request: Request) -> bool:
        return request.method != "GET" and len(scim.writes()) >= written + 3

    assert kill_at(scim, process, third_write, carried_out=carried_out)
    assert 30 < len(scim.membership()["app-a"]) < 60
    agent.ldif.write_text(everybody)
    for _ in range(2):
        agent.sync()
    assert len(scim.membership()["app-a"]) == 60
    agent.ldif.write_text(half)

    again = agent.sync()

    assert (again["exit_code"], again["plan_digest"]) == (3, digest)
    assert (len(scim.active()), len(scim.membership()["app-a"])) == (60, 60)
