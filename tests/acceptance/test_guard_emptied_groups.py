"""A selected group is not emptied without being asked, whoever was to follow its members and does not come."""

from __future__ import annotations

import pytest

from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService

FIVE = {f"{uid}@example.com" for uid in uids(5)}
OTHERS = group("app-b", *uids(5))
NEW = person("x")
DISABLED = "nsAccountLock: true\n"


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)) + OTHERS)
    assert agent.sync()["exit_code"] == 0
    return agent


def replace_everybody(agent: Agent, newcomer: str) -> None:
    agent.ldif.write_text(people(5) + newcomer + group("app-a", "x") + OTHERS)


def refuse_newcomers(scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST" and r.path.endswith("/Users"), times=999, status=400))


@pytest.mark.parametrize(
    "newcomer", [person("x", mail=""), person("x", extra=DISABLED)], ids=["no address", "disabled"]
)
def test_who_cannot_be_pushed_does_not_follow_anybody(ready: Agent, scim: ScimService, newcomer: str) -> None:
    replace_everybody(ready, newcomer)

    held = ready.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose all of its 5 members, and is still selected" in str(held["sentences"])
    assert scim.membership()["app-a"] == FIVE
    assert ready.run("approve", held["plan_digest"]).code == 0
    ready.sync()
    assert scim.membership()["app-a"] == set()


def test_who_turns_out_to_be_refused_does_not_follow_anybody(ready: Agent, scim: ScimService) -> None:
    refuse_newcomers(scim)
    replace_everybody(ready, NEW)

    refused = ready.sync()

    assert refused["exit_code"] == 1
    assert scim.membership()["app-a"] == FIVE
    held = ready.sync()
    assert held["exit_code"] == 3
    assert "group app-a would lose all of its 5 members, and is still selected" in str(held["sentences"])
    assert scim.membership()["app-a"] == FIVE
    assert ready.run("approve", held["plan_digest"]).code == 0
    ready.sync()
    assert scim.membership()["app-a"] == set()


def test_whose_place_nobody_took_stays_in_use(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
    agent.sync()
    refuse_newcomers(scim)
    agent.ldif.write_text(people(5) + NEW + group("app-a", "x"))

    agent.sync()

    assert scim.membership()["app-a"] == scim.active() == FIVE
    agent.sync()
    assert scim.membership()["app-a"] == scim.active() == FIVE


def test_who_was_refused_and_comes_at_last_does_follow(ready: Agent, scim: ScimService) -> None:
    refuse_newcomers(scim)
    replace_everybody(ready, NEW)
    ready.sync()
    scim.faults.clear()

    ready.sync()
    assert ready.sync()["exit_code"] == 0

    assert scim.membership()["app-a"] == {"x@example.com"}


def test_who_is_refused_by_the_group_does_not_follow_anybody(ready: Agent, scim: ScimService) -> None:
    adds = Fault(lambda r: r.method == "PATCH" and "/Groups/" in r.path and "add" in str(r.body), times=999, status=400)
    scim.faults.append(adds)
    replace_everybody(ready, NEW)

    ready.sync()
    ready.sync()

    assert scim.membership()["app-a"] == FIVE


def test_somebody_new_who_follows_everybody_does_so_in_one_cycle(ready: Agent, scim: ScimService) -> None:
    replace_everybody(ready, NEW)

    assert ready.sync()["exit_code"] == 0

    assert scim.membership()["app-a"] == {"x@example.com"}


@pytest.mark.parametrize("guard", [{}, NO_LIMITS])
def test_disabled_people_are_nobody_in_a_group(agent: Agent, scim: ScimService, guard: dict[str, object]) -> None:
    everybody = group("app-a", *uids(6)) + group("app-b", *uids(6))
    with_disabled = people(5) + person("u5", extra=DISABLED)
    agent.configure(scim, guard=guard)
    agent.ldif.write_text(people(6) + everybody)
    agent.sync()
    agent.ldif.write_text(with_disabled + everybody)
    agent.sync()
    agent.ldif.write_text(with_disabled + group("app-a", "u5") + group("app-b", *uids(6)))

    report = agent.sync()

    if guard:
        assert report["exit_code"] == 0
        assert scim.membership()["app-a"] == {"u5@example.com"}
        return
    assert report["exit_code"] == 3
    said = "group app-a would lose 5 of its 6 members, the others being out of use, and is still selected"
    assert said in report["sentences"][0]
    assert scim.membership()["app-a"] == {*FIVE, "u5@example.com"}


def test_the_last_disabled_people_may_leave_one_after_the_other(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    disabled = people(3) + "".join(person(f"d{number}", extra=DISABLED) for number in range(3))
    enabled = disabled.replace(DISABLED, "")
    agent.ldif.write_text(enabled + group("app-a", "d0", "d1", "d2") + group("app-b", *uids(3)))
    agent.sync()
    agent.ldif.write_text(disabled + group("app-a", "d0", "d1", "d2") + group("app-b", *uids(3)))
    agent.sync()

    agent.ldif.write_text(disabled + group("app-a", "d1", "d2") + group("app-b", *uids(3)))

    assert agent.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == {"d1@example.com", "d2@example.com"}
