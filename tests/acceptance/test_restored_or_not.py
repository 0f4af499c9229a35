"""What is a restored state, and what only looks like one; and that no trail is too long to tell."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from tests.acceptance.test_restored_state import mails, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

__all__ = ["ready"]

EVERYBODY = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
WITH_NEW = people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6))
OLD_PART = "audit-20260101-000000.jsonl"


def back_up(agent: Agent) -> None:
    shutil.rmtree(agent.directory / "backup", ignore_errors=True)
    shutil.copytree(agent.state, agent.directory / "backup")


def in_the_state(agent: Agent, *statements: str) -> None:
    connection = sqlite3.connect(agent.state / "rollcall.sqlite3")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def idle_for_long_and_upgraded(agent: Agent) -> None:
    """By a version that did not remember the last cycle that wrote."""
    agent.sync()
    last = "select id from cycle order by started_at desc limit 1"
    in_the_state(agent, f"delete from cycle where id != ({last})", "delete from fact where name like 'last cycle of%'")


def trail_of_today_moved_away(agent: Agent) -> None:
    """An older part is left, of cycles that nobody remembers."""
    trail = agent.state / "audit.jsonl"
    trail.rename(agent.state / OLD_PART)
    for content in (WITH_NEW, EVERYBODY):
        agent.ldif.write_text(content)
        agent.sync()
    in_the_state(agent, "update cycle set started_at = datetime(started_at, '-100 days')")
    agent.sync()
    trail.unlink()


INNOCENT = pytest.mark.parametrize("what", [idle_for_long_and_upgraded, trail_of_today_moved_away])


@INNOCENT
def test_nothing_is_looked_at_upstream_because_of_a_trail_of_long_ago(
    ready: Agent, scim: ScimService, what: object
) -> None:
    assert callable(what)
    what(ready)
    before = len(scim.requests)

    logged = [ready.run("sync", "--verbose").err for _ in range(2)]

    assert not [text for text in logged if "older than the audit trail" in text]
    assert len(scim.requests) == before
    assert ready.run("provision", "u1@example.com").code == 0


@INNOCENT
def test_a_back_up_of_that_state_is_noticed_when_it_is_put_back(ready: Agent, scim: ScimService, what: object) -> None:
    assert callable(what)
    what(ready)
    back_up(ready)
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    assert "new@example.com" in scim.active()
    restore(ready)
    ready.ldif.write_text(EVERYBODY)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))


@pytest.mark.parametrize("lost", ["the clock was set back since", "the trail before the back-up is lost"])
def test_that_only_one_of_two_things_is_as_in_a_trail_of_long_ago_proves_nothing(
    ready: Agent, scim: ScimService, lost: str
) -> None:
    """That nothing in the trail is known, or that the state has seen later cycles."""
    ready.sync()
    back_up(ready)
    trail = ready.state / "audit.jsonl"
    known = trail.read_text()
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    since = trail.read_text().removeprefix(known)
    if lost == "the clock was set back since":
        records = [json.loads(line) | {"at": "2026-01-01T00:00:00+00:00"} for line in since.splitlines()]
        trail.write_text(known + "".join(json.dumps(record) + "\n" for record in records))
    else:
        trail.write_text(since)
    restore(ready)
    ready.ldif.write_text(EVERYBODY)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))


def test_a_long_trail_is_looked_through_to_where_the_state_knows_it(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    trail = ready.state / "audit.jsonl"
    last = json.loads(trail.read_text().splitlines()[-1])
    more = last | {"verb": "add members", "cycle_id": "0123456789ab", "detail": "x" * (1 << 20)}
    line = json.dumps(more) + "\n"
    with trail.open("a") as out:
        for _ in range(80):
            out.write(line)
    trail.rename(ready.state / OLD_PART)
    trail.write_text(json.dumps(more | {"detail": ""}) + "\n")
    restore(ready)
    ready.ldif.write_text(EVERYBODY)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))
