"""Whether a state was restored, and what was made since, is told by the end of the trail: how far that is read."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from tests.acceptance.test_restored_state import mails, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, Request, ScimService

__all__ = ["ready"]

EVERYBODY = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
WITH_NEW = people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6))


def back_up(agent: Agent) -> None:
    shutil.rmtree(agent.directory / "backup", ignore_errors=True)
    shutil.copytree(agent.state, agent.directory / "backup")


def hundred_days_pass(agent: Agent) -> None:
    """And a cycle runs in which nothing is to be done, and which forgets the old ones."""
    connection = sqlite3.connect(agent.state / "rollcall.sqlite3")
    connection.execute("update cycle set started_at = datetime(started_at, '-100 days')")
    connection.commit()
    connection.close()
    agent.sync()


def made_anew_by_hand(agent: Agent, scim: ScimService, user_name: str) -> None:
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == user_name)
    del scim.users[gone]
    for item in scim.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]
    for _ in range(2):
        agent.sync("--full")
    assert user_name in scim.membership()["app-b"]


def cycles(agent: Agent) -> set[str]:
    connection = sqlite3.connect(agent.state / "rollcall.sqlite3")
    rows = connection.execute("select id from cycle").fetchall()
    connection.close()
    return {row[0] for row in rows}


def last_cycle(agent: Agent) -> str:
    return str(json.loads((agent.state / "audit.jsonl").read_text().splitlines()[-1])["cycle_id"])


def test_an_id_that_was_given_up_long_ago_takes_nobody_s_place(ready: Agent, scim: ScimService) -> None:
    made_anew_by_hand(ready, scim, "u1@example.com")
    hundred_days_pass(ready)
    back_up(ready)
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    standing = scim.membership()
    restore(ready)

    for _ in range(3):
        ready.sync()
        assert scim.membership() == standing
        assert "u1@example.com" in scim.active()


def test_the_last_cycle_that_wrote_is_known_however_long_ago_it_was(ready: Agent, scim: ScimService) -> None:
    hundred_days_pass(ready)
    assert last_cycle(ready) in cycles(ready)
    for _ in range(2):
        hundred_days_pass(ready)
    before = len(scim.requests)

    for _ in range(2):
        ready.sync()

    assert last_cycle(ready) in cycles(ready)
    assert len(scim.requests) == before


def test_a_trail_that_goes_on_after_a_gap_displaces_nobody_the_state_knows_as_newer(
    ready: Agent, scim: ScimService
) -> None:
    """The records of the cycles that this state knows are lost: those before and after them are there."""
    lines = (ready.state / "audit.jsonl").read_text()
    made_anew_by_hand(ready, scim, "u1@example.com")
    hundred_days_pass(ready)
    back_up(ready)
    known = (ready.state / "audit.jsonl").read_text()
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    since = (ready.state / "audit.jsonl").read_text().removeprefix(known)
    restore(ready)
    (ready.state / "audit.jsonl").write_text(lines + since)
    connection = sqlite3.connect(ready.state / "rollcall.sqlite3")
    connection.execute("delete from cycle")
    connection.commit()
    connection.close()
    standing = scim.membership()

    for _ in range(3):
        ready.sync()
        assert scim.membership() == standing
        assert "u1@example.com" in scim.active()


def test_of_a_cycle_that_the_back_up_has_half_everything_is_taken_up(ready: Agent, scim: ScimService) -> None:
    """It was made in the middle of one, and another one has written something since."""
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    half = last_cycle(ready)
    ready.ldif.write_text(WITH_NEW.replace("cn: app-b", "cn: app-b\ndescription: x") + group("app-c", "u0"))
    ready.sync()
    assert last_cycle(ready) != half
    restore(ready)
    connection = sqlite3.connect(ready.state / "rollcall.sqlite3")
    begun = "insert into cycle (id, started_at, report) select ?, datetime(started_at, '+1 second'), '' from cycle"
    connection.execute(begun, [half])
    connection.commit()
    connection.close()
    ready.ldif.write_text(EVERYBODY)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))


def _lists_users(request: Request) -> bool:
    return request.method == "GET" and "filter" not in request.path and request.path.split("?")[0].endswith("/Users")


def test_a_back_up_that_was_made_while_nothing_upstream_could_be_seen_is_taken_up_from_as_well(
    ready: Agent, scim: ScimService
) -> None:
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    restore(ready)
    scim.faults.append(Fault(_lists_users, times=10_000, status=500))
    assert any("has not shown yet" in notice for notice in ready.sync()["notices"])
    back_up(ready)
    ready.ldif.write_text(WITH_NEW + person("two") + group("app-c", "two"))
    for _ in range(2):
        ready.sync()
    scim.faults.clear()
    ready.sync()
    assert "two@example.com" in scim.active()
    restore(ready)
    ready.ldif.write_text(WITH_NEW)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6), "new")


@pytest.mark.parametrize("part", ["audit.jsonl", "audit-20260101-000000.jsonl"])
def test_a_trail_that_cannot_be_read_is_told_and_nothing_is_believed_meanwhile(
    ready: Agent, scim: ScimService, part: str
) -> None:
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    restore(ready)
    ready.ldif.write_text(EVERYBODY)
    trail = (ready.state / "audit.jsonl").rename(ready.directory / "put aside")
    unreadable = ready.state / part
    unreadable.mkdir()
    before = len(scim.requests)

    done = ready.run("sync")

    assert done.code == 2
    assert f"{part} cannot be opened" in done.err
    assert len(scim.requests) == before
    unreadable.rmdir()
    trail.rename(ready.state / "audit.jsonl")
    for _ in range(3):
        ready.sync()
    assert scim.active() == mails(*uids(6))
