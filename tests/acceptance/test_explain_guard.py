"""What `rollcall explain` and `provision` say of removals that a guard holds, and by which approval they go on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agent_runner import Agent, Done
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService

NOTHING = {"users": 0, "users_share": "0%", "members": 0, "members_share": "0%"}
TO_PLAN = "the guard holds it; run rollcall plan, and approve what it prints"


def explained(agent: Agent, who: str) -> Any:
    return agent.run("explain", who, "--json").document


def listed(agent: Agent, number: int) -> None:
    """Let so many of the twelve be in the group."""
    agent.ldif.write_text(people(12) + group("app-a", *uids(number)) + group("app-b", *uids(12)))


@pytest.fixture
def strict(agent: Agent, scim: ScimService) -> Agent:
    """Everybody is in both groups, and the guard lets nobody out of one."""
    agent.configure(scim, guard=NOTHING, upstream={"members_per_patch": 1})
    listed(agent, 12)
    agent.sync()
    return agent


def test_a_removal_that_a_guard_holds_is_told_with_how_to_let_it_through(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"users": 0, "users_share": "0%", "members": 0, "members_share": "0%"})
    agent.ldif.write_text(people(12) + group("app-a", *uids(12)))
    agent.sync()
    agent.ldif.write_text(people(12) + group("app-a", *uids(11)))
    digest = agent.sync()["plan_digest"]

    out, steps = agent.run("explain", "u11").out, explained(agent, "u11")["next"]

    held = f"the guard held it in the last cycle; to let it through: rollcall approve {digest}"
    assert [(step["verb"], step["waits"]) for step in steps] == [
        ("remove from group", held), ("deactivate user", held),
    ]  # fmt: skip
    assert steps[0]["why"] == "the group does not list it any more"
    assert out.startswith(
        "u11@example.com is not to be provisioned: no group lists it. It still is (active as SCIM id "
    )
    agent.run("approve", digest)
    assert [step["waits"] for step in explained(agent, "u11")["next"]] == [None, None]
    assert agent.run("explain", "u11").out.splitlines()[0].endswith("; the next cycle takes it out of use.")


def approved_by_what_plan_prints(agent: Agent) -> Done:
    return agent.run("approve", agent.run("plan", "--json").document["digest"])


def test_a_digest_that_approve_would_refuse_by_now_is_not_named(strict: Agent) -> None:
    listed(strict, 11)
    old = strict.sync()["plan_digest"]
    listed(strict, 10)

    done = strict.run("provision", "u11@example.com")  # it reads that u10 has left as well

    assert (done.code, strict.run("approve", old).code) == (3, 2)
    for text in (done.out, strict.run("explain", "u11").out, strict.run("explain", "app-a").out):
        assert old not in text
        assert "run rollcall plan, and approve what it prints" in text
    assert [step["waits"] for step in explained(strict, "u10")["next"]] == [TO_PLAN]
    assert approved_by_what_plan_prints(strict).code == 0
    assert [step["waits"] for step in explained(strict, "u10")["next"]] == [None]


def test_what_only_provision_has_read_is_told_to_be_held(strict: Agent) -> None:
    listed(strict, 11)

    done = strict.run("provision", "u11@example.com")

    assert done.code == 3
    assert f"; to be taken out of app-a, but {TO_PLAN}." in done.out


def test_the_digest_is_named_as_long_as_approve_accepts_it(strict: Agent) -> None:
    listed(strict, 11)
    digest = strict.sync()["plan_digest"]

    done = strict.run("provision", "u11@example.com")

    assert f"to let it through: rollcall approve {digest}" in done.out
    assert f"rollcall approve {digest}" in strict.run("explain", "u11").out
    assert strict.run("approve", digest).code == 0


def test_after_an_approval_was_used_what_is_left_needs_another_one(strict: Agent, scim: ScimService) -> None:
    listed(strict, 10)
    used = strict.sync()["plan_digest"]
    strict.run("approve", used)
    (u11,) = (scim_id for scim_id, user in scim.users.items() if user["userName"] == "u11@example.com")
    scim.faults.append(Fault(lambda request: u11 in str(request.body), times=9, status=400))
    left = strict.sync()

    out = strict.run("explain", "u11").out + strict.run("explain", "u10").out

    assert left["counts"]["removals held"] == 0
    assert used not in out
    assert "run rollcall plan, and approve what it prints" in out


def test_changed_settings_leave_the_plan_to_the_next_cycle(strict: Agent, scim: ScimService) -> None:
    listed(strict, 11)
    digest = strict.sync()["plan_digest"]
    strict.configure(scim, guard=NOTHING, scope={"nested": "direct"})

    out = strict.run("explain", "u11").out

    assert digest not in out
    assert TO_PLAN in out


def test_who_stays_in_a_group_of_which_removals_are_held_is_told_of_the_guard(strict: Agent) -> None:
    listed(strict, 10)
    digest = strict.sync()["plan_digest"]

    out, memberships = strict.run("explain", "u0").out, explained(strict, "u0")["memberships"]

    held = f"the guard holds the removal of 2 members from it; to let it through: rollcall approve {digest}"
    assert {item["group"]: item["held"] for item in memberships} == {"app-a": held, "app-b": None}
    assert f"app-a: selected by name:app-*; listed; there upstream\n  - {held}\n" in out
    strict.run("approve", digest)
    assert "the guard" not in strict.run("explain", "u0").out


def test_who_is_to_leave_one_group_of_several_is_told_so_in_the_first_sentence(strict: Agent) -> None:
    listed(strict, 11)
    digest = strict.sync()["plan_digest"]

    sentence = explained(strict, "u11")["verdict"]["sentence"]

    assert sentence.endswith(
        ", in groups app-a and app-b; to be taken out of app-a, but the guard held it in the last cycle; to let it "
        f"through: rollcall approve {digest}."
    )


def test_a_group_of_which_removals_are_held_is_told_so(strict: Agent) -> None:
    listed(strict, 10)
    digest = strict.sync()["plan_digest"]

    document, out = explained(strict, "app-a"), strict.run("explain", "app-a").out

    held = f"the guard holds the removal of 2 members from it; to let it through: rollcall approve {digest}"
    assert document["group"]["held"] == held
    assert f"  {held}\n" in out
    assert document["verdict"]["remedy"].endswith(f"T{held.removeprefix('t')}.")
    assert explained(strict, "app-b")["group"]["held"] is None


def test_what_the_guard_does_not_hold_does_not_wait(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    everybody = people(30) + group("app-b", *uids(30))
    agent.ldif.write_text(everybody + group("app-a", *uids(30)) + group("app-c", *uids(4)))
    agent.sync()
    agent.ldif.write_text(everybody + group("app-a", *uids(12)) + group("app-c", *uids(3)))
    scim.faults.append(Fault(lambda request: "remove" in str(request.body), times=9, status=400))
    held = agent.sync()

    assert held["counts"]["removals held"] == 1
    (step,) = explained(agent, "u3")["next"]
    assert "the guard" not in step["waits"]
    assert explained(agent, "u20")["next"][0]["waits"].endswith(f"rollcall approve {held['plan_digest']}")


def test_what_waits_for_several_reasons_is_told_by_each_of_them(strict: Agent, scim: ScimService) -> None:
    app_b = next(scim_id for scim_id, item in scim.groups.items() if item["displayName"] == "app-b")
    strict.configure(scim, guard={"members": 0, "members_share": "0%"} | {"group": {"name:app-b": {"members": 9}}})
    scim.faults.append(Fault(lambda request: request.method == "PATCH" and app_b in request.path, times=9, status=400))
    everybody = people(12) + group("app-c", *uids(12))
    strict.ldif.write_text(everybody + group("app-a", *uids(12)) + group("app-b", *uids(12)))
    strict.sync()
    strict.ldif.write_text(everybody + group("app-a", *uids(11)) + group("app-b", *uids(11)))
    digest = strict.sync()["plan_digest"]

    sentence = explained(strict, "u11")["verdict"]["sentence"]

    assert "; to be taken out of app-a, but the guard held it in the last cycle; to let it through: " in sentence
    assert f"rollcall approve {digest}; to be taken out of app-b, but the upstream refused it (" in sentence


def test_what_no_approval_lifts_is_told_as_that(agent: Agent, scim: ScimService) -> None:
    sources = [{"name": name, "connector": "ldif", "file": f"{name}.ldif"} for name in ("corp", "partners")]
    corp, partners = (agent.directory / f"{name}.ldif" for name in ("corp", "partners"))
    agent.configure(scim, *sources)
    corp.write_text(people(12) + group("app-a", *uids(12)))
    partners.write_text(person("p") + group("app-p", "p"))
    agent.sync()
    corp.write_text(people(12) + group("app-a", *uids(11)))
    partners.write_text("")
    held = agent.sync()

    waits = [step["waits"] for step in explained(agent, "u11")["next"]]
    refused = agent.run("approve", agent.run("plan", "--json").document["digest"])
    partners.write_text(person("p") + group("app-p", "p"))
    agent.run("provision", "p")

    assert (held["exit_code"], held["plan_digest"]) == (3, "")
    assert set(waits) == {"the guard holds it; no approval lifts that: rollcall status says why"}
    assert refused.code == 2
    assert "when the sources were read last, everything was held, and rollcall status says why" in refused.err
    assert {step["waits"] for step in explained(agent, "u11")["next"]} == {None}
