"""An older state is put back: it repairs itself from the directory and from what stands upstream."""

from __future__ import annotations

import shutil

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6)))
    agent.sync()
    shutil.copytree(agent.state, agent.directory / "backup")
    return agent


def restore(agent: Agent) -> None:
    """As an administrator does who keeps back-ups of the database, and has the trail of today."""
    for name in ("rollcall.sqlite3-wal", "rollcall.sqlite3-shm"):
        (agent.state / name).unlink(missing_ok=True)
    for path in (agent.directory / "backup").glob("rollcall.sqlite3*"):
        shutil.copy(path, agent.state / path.name)


def test_what_was_done_since_is_found_out_in_the_first_cycle(ready: Agent, scim: ScimService) -> None:
    # Since the back-up: u4 joins app-a, u0 leaves it, somebody new comes, u5 leaves app-b.
    ready.ldif.write_text(
        people(6) + person("new") + group("app-a", "u1", "u2", "u3", "u4", "new") + group("app-b", *uids(5))
    )
    ready.sync()
    restore(ready)
    # And by now u4 has left app-a again, of which that state has never known, and u5 is back in app-b.
    ready.ldif.write_text(
        people(6) + person("new") + group("app-a", "u1", "u2", "u3", "new") + group("app-b", *uids(6))
    )

    for _ in range(2):
        ready.sync()

    assert scim.membership() == {"app-a": mails("u1", "u2", "u3", "new"), "app-b": mails(*uids(6))}
    assert len(scim.users) == 7
    assert ready.sync()["counts"]["planned"] == 0


def test_a_state_that_was_not_restored_costs_no_look_upstream(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(6)))
    ready.sync()
    before = len(scim.requests)

    for _ in range(3):
        ready.sync()

    assert len(scim.requests) == before


def test_an_account_that_was_deleted_since_is_made_again(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(6)))
    ready.sync()
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u1@example.com")
    del scim.users[gone]
    for item in scim.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]
    restore(ready)

    for _ in range(2):
        ready.sync()

    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(6))}


@pytest.mark.parametrize("how", ["disabled", "left"])
def test_an_account_that_was_made_anew_since_is_taken_out_with_its_owner(
    ready: Agent, scim: ScimService, how: str
) -> None:
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u1@example.com")
    del scim.users[gone]
    for item in scim.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]
    for _ in range(2):
        ready.sync("--full")
    assert "u1@example.com" in scim.membership()["app-a"]
    restore(ready)
    others = [uid for uid in uids(6) if uid != "u1"]
    listed = uids(6) if how == "disabled" else others
    u1 = person("u1", extra="nsAccountLock: TRUE\n" if how == "disabled" else "")
    everybody = "".join(person(uid) for uid in others) + u1
    ready.ldif.write_text(everybody + group("app-a", *listed[:4]) + group("app-b", *listed))

    for _ in range(3):
        ready.sync()

    assert "u1@example.com" not in scim.active()
    assert all("u1@example.com" not in members for members in scim.membership().values()) or how == "disabled"


def test_an_approval_that_was_used_since_the_back_up_does_not_count_again(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(60) + group("app-a", *uids(60)))
    agent.sync()
    agent.ldif.write_text(people(30) + group("app-a", *uids(30)))
    assert agent.run("approve", agent.sync()["plan_digest"]).code == 0
    shutil.copytree(agent.state, agent.directory / "backup")
    assert agent.sync()["exit_code"] == 0
    agent.ldif.write_text(people(60) + group("app-a", *uids(60)))
    agent.sync()
    restore(agent)
    agent.ldif.write_text(people(30) + group("app-a", *uids(30)))

    held = [agent.sync()["exit_code"] for _ in range(2)]

    assert held == [3, 3]
    assert len(scim.active()) == 60


def test_who_has_been_deactivated_or_taken_into_use_since_is_found_out(ready: Agent, scim: ScimService) -> None:
    # u0 leaves before the back-up and returns after it; u1 leaves after it and is back by now, u0 gone again.
    everybody = people(6)
    ready.ldif.write_text(everybody + group("app-a", "u1", "u2", "u3") + group("app-b", *uids(6)[1:]))
    ready.sync()
    shutil.rmtree(ready.directory / "backup")
    shutil.copytree(ready.state, ready.directory / "backup")
    ready.ldif.write_text(everybody + group("app-a", "u0", "u2", "u3") + group("app-b", "u0", *uids(6)[2:]))
    ready.sync()
    assert scim.active() == mails("u0", *uids(6)[2:])
    restore(ready)
    ready.ldif.write_text(everybody + group("app-a", "u1", "u2", "u3") + group("app-b", *uids(6)[1:]))

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6)[1:])
    assert scim.membership() == {"app-a": mails("u1", "u2", "u3"), "app-b": mails(*uids(6)[1:])}


def test_nothing_is_taken_away_before_the_directory_was_read_again(ready: Agent, scim: ScimService) -> None:
    """What the restored state holds of the directory is older than what stands upstream."""
    ready.ldif.write_text(people(6) + person("new") + group("app-a", *uids(6), "new") + group("app-b", *uids(6)))
    ready.sync()
    standing = scim.membership()
    restore(ready)
    text = ready.ldif.read_text()
    ready.ldif.unlink()

    reports = [ready.sync() for _ in range(3)]

    assert scim.membership() == standing
    assert [report["exit_code"] for report in reports] == [4, 4, 4]
    assert any("since the state was restored" in notice for notice in reports[-1]["notices"])
    ready.ldif.write_text(text)
    assert [ready.sync()["exit_code"] for _ in range(2)] == [0, 0]
    assert scim.membership() == standing


def test_who_came_after_the_back_up_and_is_gone_by_now_is_taken_out(ready: Agent, scim: ScimService) -> None:
    everybody = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
    ready.ldif.write_text(
        people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6)) + group("app-c", "new")
    )
    ready.sync()
    assert scim.membership()["app-c"] == mails("new")
    restore(ready)
    ready.ldif.write_text(everybody)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))
    assert scim.membership() == {"app-a": mails(*uids(4)), "app-b": mails(*uids(6)), "app-c": set()}
    assert ready.sync()["counts"]["planned"] == 0


def test_who_came_after_a_back_up_that_had_read_nothing_yet_is_taken_out_too(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(group("app-a"))
    agent.ldif.rename(agent.directory / "elsewhere")
    agent.sync()
    shutil.copytree(agent.state, agent.directory / "backup")
    agent.ldif.write_text(people(3) + person("new") + group("app-a", *uids(3), "new"))
    agent.sync()
    restore(agent)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))

    for _ in range(3):
        agent.sync()

    assert scim.active() == mails(*uids(3))
    assert scim.membership() == {"app-a": mails(*uids(3))}


def test_who_came_after_the_back_up_and_is_gone_counts_for_the_guard(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(20) + group("app-a", *uids(20)))
    agent.sync()
    shutil.copytree(agent.state, agent.directory / "backup")
    agent.ldif.write_text(people(60) + group("app-a", *uids(60)))
    agent.sync()
    restore(agent)
    agent.ldif.write_text(people(20) + group("app-a", *uids(20)))

    reports = [agent.sync() for _ in range(2)]

    assert [report["exit_code"] for report in reports] == [3, 3]
    assert len(scim.active()) == 60


def test_who_came_after_the_back_up_and_is_still_there_keeps_the_account(ready: Agent, scim: ScimService) -> None:
    """Even where nothing that is there already may be taken over: it is the agent's own."""
    ready.configure(scim, guard=OPEN, upstream={"adopt": False})
    now = people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6))
    ready.ldif.write_text(now + group("app-c", "new"))
    ready.sync()
    standing, accounts, groups = scim.membership(), set(scim.users), set(scim.groups)
    restore(ready)

    reports = [ready.sync() for _ in range(2)]

    assert [report["exit_code"] for report in reports] == [0, 0]
    assert scim.membership() == standing
    assert (set(scim.users), set(scim.groups)) == (accounts, groups)
    assert reports[-1]["counts"]["planned"] == 0


@pytest.fixture
def returned(ready: Agent, scim: ScimService) -> Agent:
    """The restored state has u5 deactivated, who is back in use; by now u5 has left for good, and new is there."""
    ready.ldif.write_text(people(6) + group("app-a", *uids(4)) + group("app-b", *uids(5)))
    ready.sync()
    shutil.rmtree(ready.directory / "backup")
    shutil.copytree(ready.state, ready.directory / "backup")
    ready.ldif.write_text(people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6)))
    ready.sync()
    assert scim.active() == mails(*uids(6))
    restore(ready)
    ready.ldif.write_text(people(5) + person("new") + group("app-a", *uids(4)) + group("app-b", *uids(5), "new"))
    return ready


def test_that_the_service_is_down_at_first_hides_nothing(returned: Agent, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda _request: True, times=1_000, status=503))
    returned.sync()
    scim.faults.clear()

    for _ in range(3):
        returned.sync()

    assert scim.active() == mails(*uids(5), "new")


def test_nobody_is_provisioned_singly_before_a_cycle_has_looked_at_everybody(
    returned: Agent, scim: ScimService
) -> None:
    done = returned.run("provision", "new@example.com")

    assert done.code == 2
    assert "it was restored from a back-up" in done.err
    assert "Run rollcall sync first." in done.err
    for _ in range(3):
        returned.sync()
    assert scim.active() == mails(*uids(5), "new")


def test_after_the_trail_was_restored_too_a_full_reconciliation_tells_who_is_in_use(
    returned: Agent, scim: ScimService
) -> None:
    """Nothing says any more that the state was restored; that somebody switched the account on is as likely."""
    shutil.copy(returned.directory / "backup" / "audit.jsonl", returned.state / "audit.jsonl")

    report = [returned.sync("--full") for _ in range(2)][-1]

    assert scim.active() == mails(*uids(6), "new")
    assert any("Rollcall has deactivated them (u5@example.com)" in notice for notice in report["notices"])
