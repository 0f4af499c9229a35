"""What the guard counts: users, groups, members of each group, all of a group, and small steps that add up."""

from __future__ import annotations

import sqlite3

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.scim_service import Fault, ScimService


def mails(names: list[str]) -> set[str]:
    return {f"{name}@example.com" for name in names}


def days_pass(agent: Agent, days: float) -> None:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        connection.execute("update spending set at = datetime(at, ?)", (f"-{days} days",))


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_too_many_leave_one_group_and_everything_else_goes_on(ready: Agent, scim: ScimService) -> None:
    everybody = uids(40)
    all_of_them = group("app-all", *everybody[:39])
    ready.ldif.write_text(people(40) + group("app-a", *everybody) + group("app-b", *everybody[:20]) + all_of_them)
    ready.sync()
    remaining = people(41).replace(person("u39"), "") + all_of_them

    ready.ldif.write_text(remaining + group("app-a", *everybody[:20], "u40") + group("app-b", *everybody[1:20], "u40"))
    held = ready.sync()

    assert held["exit_code"] == 3
    assert held["sentences"][0] == (
        "Stopped by the guard: 20 memberships held back. group app-a would lose 20 of 40 members; the limit is 10 "
        "([guard] members, members_share)."
    )
    assert scim.membership() == {
        "app-a": mails([*everybody, "u40"]),
        "app-b": mails([*everybody[1:20], "u40"]),
        "app-all": mails(everybody[:39]),
    }
    assert "u39@example.com" not in scim.active()

    assert ready.run("approve", held["plan_digest"]).code == 0
    assert ready.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == mails([*everybody[:20], "u40"])


def test_a_selected_group_that_would_lose_everybody_is_held_however_small(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", "u0") + group("app-b", "u0", "u1", "u2"))
    ready.sync()
    ready.ldif.write_text(people(3) + group("app-a") + group("app-b", "u0", "u1"))

    held = ready.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose all of its 1 members, and is still selected" in held["sentences"][0]
    assert scim.membership() == {"app-a": {"u0@example.com"}, "app-b": {"u0@example.com", "u1@example.com"}}
    assert scim.active() == {"u0@example.com", "u1@example.com"}

    ready.configure(scim, guard={"group": {group_dn("app-a"): {"may_become_empty": True}}})
    ready.sync()

    assert scim.membership()["app-a"] == set()


def test_a_group_whose_only_member_is_followed_by_another_is_not_empty(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(2) + group("app-a", "u0") + group("app-b", "u0", "u1"))
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", "u1") + group("app-b", "u0", "u1"))

    assert ready.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == {"u1@example.com"}


def test_a_group_has_limits_of_its_own(ready: Agent, scim: ScimService) -> None:
    rules = {
        "name:app-calm": {"members": 0, "members_share": "0%", "members_from": 0},
        "name:app-busy": {"members": 30, "members_share": "90%"},
        "name:app-*": {"members": 1},
    }
    ready.configure(scim, guard={"group": rules, "users": 40})
    everybody = uids(40)
    names = ("app-calm", "app-busy")
    ready.ldif.write_text(
        people(40) + "".join(group(name, *everybody) for name in names) + group("app-all", *everybody)
    )
    ready.sync()

    ready.ldif.write_text(
        people(40)
        + group("app-calm", *everybody[1:])
        + group("app-busy", *everybody[:4])
        + group("app-all", *everybody)
    )
    held = ready.sync()

    assert "group app-calm would lose 1 of 40 members; the limit is 0" in held["sentences"][0]
    assert "app-busy" not in held["sentences"][0]
    assert scim.membership()["app-calm"] == mails(everybody)
    assert scim.membership()["app-busy"] == mails(everybody[:4])


def test_three_in_a_hundred_a_day_are_stopped_by_what_comes_back_in_a_day(ready: Agent, scim: ScimService) -> None:
    count = 400
    ready.ldif.write_text(people(count) + group("app-a", *uids(count)))
    ready.configure(scim, guard={"users": 0, "members": count, "members_share": "100%"})
    ready.sync()
    codes = []
    for day in range(1, 11):
        left = uids(count)[12 * day :]  # 12 of 400 are 3 %
        ready.ldif.write_text("".join(person(uid) for uid in left) + group("app-a", *left))
        last = ready.sync()
        codes.append(last["exit_code"])
        if last["exit_code"]:
            break
        days_pass(ready, 1)

    # The limit is 5 %, and a fifth of it comes back in a day: after 12 and the night, 9 of 19 are used.
    assert codes == [0, 3]
    assert "12 of 388 active users would be deactivated, after 9 in the last days; the limit is 19" in str(last)
    assert len(scim.active()) == count - 12
    days_pass(ready, 5)
    assert ready.sync()["exit_code"] == 0
    assert len(scim.active()) == count - 24


def test_groups_that_leave_the_scope_a_few_a_day_are_stopped_too(ready: Agent, scim: ScimService) -> None:
    names = [f"app-{number}" for number in range(40)]
    everybody = people(40)
    ready.configure(scim, guard={"users": 100})
    ready.ldif.write_text(everybody + "".join(group(name, f"u{i}", "u0") for i, name in enumerate(names)))
    ready.sync()
    codes = []
    for day in range(1, 11):
        left = list(enumerate(names))[2 * day :]  # 2 of 40 are 5 %
        ready.ldif.write_text(everybody + "".join(group(name, f"u{i}", "u0") for i, name in left))
        last = ready.sync()
        codes.append(last["exit_code"])
        if last["exit_code"]:
            break
        days_pass(ready, 1)

    # The limit is 4, and 0.8 come back in a day: after twice 2 and two nights, 3 of 4 are used.
    assert codes == [0, 0, 3]
    assert "2 of 40 groups would lose all their members" in str(last)
    assert "after 3 in the last days; the limit is 4" in str(last)
    assert sum(bool(members) for members in scim.membership().values()) == 36


def test_what_was_approved_uses_up_nothing(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(60) + group("app-a", *uids(60)))
    ready.sync()
    ready.ldif.write_text(people(30) + group("app-a", *uids(30)))
    held = ready.sync()
    assert ready.run("approve", held["plan_digest"]).code == 0
    assert ready.sync()["exit_code"] == 0
    ready.ldif.write_text(people(25) + group("app-a", *uids(25)))

    assert ready.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == mails(uids(25))


def test_members_that_leave_a_group_in_small_steps_are_noticed(ready: Agent) -> None:
    ready.ldif.write_text(people(40) + group("app-a", *uids(40)) + group("app-all", *uids(40)))
    ready.sync()
    for left in (34, 30):
        ready.ldif.write_text(people(40) + group("app-a", *uids(left)) + group("app-all", *uids(40)))
        assert ready.sync()["exit_code"] == 0
    ready.ldif.write_text(people(40) + group("app-a", *uids(29)) + group("app-all", *uids(40)))

    held = ready.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose 1 of 30 members, after" in held["sentences"][0]


def test_small_steps_that_come_back_in_time_go_on_for_ever(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(40) + group("app-a", *uids(40)))
    ready.sync()
    for left in range(38, 18, -2):
        ready.ldif.write_text(people(left) + group("app-a", *uids(left)))
        assert ready.sync()["exit_code"] == 0
        days_pass(ready, 1)
    assert scim.membership()["app-a"] == mails(uids(20))


@pytest.mark.parametrize("daily", ["0%", "-5%"])
def test_a_limit_that_never_comes_back_is_refused(ready: Agent, scim: ScimService, daily: str) -> None:
    ready.configure(scim, guard={"daily": daily})

    done = ready.run("sync")

    assert done.code == 2
    assert "guard.daily" in done.err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(100, 60, "group app-a would lose 40 of 100 members"), (9, 0, "group app-a would lose all of its 9 members")],
)
def test_whose_last_membership_is_held_is_not_deactivated(
    ready: Agent, scim: ScimService, before: int, after: int, said: str
) -> None:
    ready.configure(scim, guard={"users": 50})
    staff = [f"s{number}" for number in range(80)]
    everybody = people(before) + "".join(person(uid) for uid in staff) + group("app-staff", *staff)
    ready.ldif.write_text(everybody + group("app-a", *uids(before)))
    ready.sync()
    ready.ldif.write_text(everybody + group("app-a", *uids(after)))

    held = ready.sync()

    assert said in held["sentences"][0]
    assert scim.active() == mails([*uids(before), *staff])
    assert scim.membership()["app-a"] == mails(uids(before))
    assert ready.run("approve", held["plan_digest"]).code == 0
    ready.sync()
    assert scim.active() == mails([*uids(after), *staff])


def test_what_is_gone_counts_though_the_rest_was_refused(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(200) + group("app-a", *uids(200)) + group("app-all", *uids(200)))
    ready.sync()
    stays = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u199@example.com")
    scim.faults.append(
        Fault(lambda r: r.method == "PATCH" and "remove" in str(r.body) and stays in str(r.body), times=999, status=400)
    )
    codes, left = [], 199
    for _ in range(3):
        left = left * 82 // 100
        ready.ldif.write_text(people(200) + group("app-a", *uids(left)) + group("app-all", *uids(200)))
        codes.append(ready.sync()["exit_code"])

    assert codes[0] == 1
    assert codes[1:] == [3, 3]
    assert len(scim.membership()["app-a"]) > 160
