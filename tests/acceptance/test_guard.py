"""The guard and its approvals, where what stands upstream is more than the plan knew of."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_members_found_while_a_group_is_taken_over_are_not_removed_before_the_guard_has_seen_them(
    ready: Agent, scim: ScimService
) -> None:
    everybody = group("app-all", *uids(40))
    ready.ldif.write_text(people(40) + everybody + group("app-a", *uids(40)))
    ready.sync()
    ready.ldif.write_text(people(40) + everybody + group("app-a", *uids(15)))
    ready.configure(scim, agent={"state_dir": "restored"})

    first = ready.sync()
    after_first = scim.membership()["app-a"]
    second = ready.sync()

    assert first["exit_code"] == 0
    assert after_first == mails(*uids(40))
    assert second["exit_code"] == 3
    assert "group app-a would lose 25 of 40 members" in second["sentences"][0]
    assert scim.membership()["app-a"] == mails(*uids(40))


def test_a_few_members_found_so_are_removed_in_the_cycle_after(ready: Agent, scim: ScimService) -> None:
    everybody = group("app-all", *uids(5))
    ready.ldif.write_text(people(5) + everybody + group("app-a", *uids(5)))
    ready.sync()
    ready.ldif.write_text(people(5) + everybody + group("app-a", *uids(4)))
    ready.configure(scim, agent={"state_dir": "restored"})

    ready.sync()
    ready.sync()

    assert scim.membership()["app-a"] == mails(*uids(4))
    assert ready.sync()["counts"]["requests"] == 0


def test_nobody_is_told_to_approve_what_no_approval_lifts(ready: Agent, scim: ScimService) -> None:
    whole = people(3) + group("app-a", "u0", "u1") + group("app-b", "u1", "u2")
    ready.ldif.write_text(whole)
    ready.sync()
    ready.configure(scim, scope={"groups": ["name:app-a"]})
    ready.ldif.write_text(whole + "this is not LDIF\n")

    report, plan = ready.sync(), ready.run("plan").out

    said = " ".join(report["sentences"])
    assert "held back." in said
    assert "rollcall approve" not in said + plan
    assert report["plan_digest"] == ""


def test_an_approval_names_what_the_daemon_s_cycles_hold_although_a_removal_waits_for_its_next_attempt(
    ready: Agent, scim: ScimService
) -> None:
    ready.ldif.write_text(people(40) + group("app-a", *uids(40)))
    ready.sync()
    scim.faults.append(Fault(lambda r: r.method == "PATCH" and "/Users/" in r.path, times=100, status=400))
    ready.ldif.write_text(people(39) + group("app-a", *uids(39)))
    rejected = ready.sync()
    ready.configure(scim, schedule={"every": "1s"})
    ready.ldif.write_text(people(20) + group("app-a", *uids(20)))
    process = ready.start("run")
    try:
        held = _wait_for_guard(ready)
    finally:
        process.terminate()
        process.wait(timeout=30)

    approved = ready.run("approve", held["plan_digest"])

    assert rejected["exit_code"] == 1
    assert (approved.code, approved.err) == (0, "")


def _wait_for_guard(agent: Agent) -> dict[str, str]:
    for _ in range(60):
        cycles = agent.run("status", "--json").document["cycles"]
        if cycles[0]["exit_code"] == 3:
            return dict(cycles[0])
    raise AssertionError(cycles[0])


def test_a_source_that_shows_nobody_is_believed_when_somebody_who_was_told_says_so(
    ready: Agent, scim: ScimService
) -> None:
    partners = {"name": "partners", "connector": "ldif", "file": "partners.ldif"}
    other = ready.directory / "partners.ldif"
    ready.configure(scim, {"name": "corp", "connector": "ldif", "file": "directory.ldif"}, partners)
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)))
    other.write_text(person("guest") + group("app-p", "guest"))
    ready.sync()
    other.write_text("\n")
    told_first = ready.sync("--full")
    plain = ready.sync()

    assert [told_first["exit_code"], plain["exit_code"]] == [3, 3]
    assert "it held 1 people and now shows none" in plain["sentences"][0]
    assert scim.membership()["app-p"] == {"guest@example.com"}

    assert ready.sync("--full")["exit_code"] == 0
    assert scim.active() == mails(*uids(3))
    assert ready.sync()["counts"]["planned"] == 0
