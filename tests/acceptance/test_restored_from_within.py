"""A back-up that was made in the middle of a cycle, and what only looks like one: a cycle that was ended there."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.observe.audit_file import AuditFile
from agent.state.database import open_state
from tests.acceptance.test_restored_state import OPEN, mails, ready, restore
from tests.agent_runner import Agent
from tests.killing import kill_at
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, Request, ScimService

__all__ = ["ready"]

EVERYBODY = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
NEW = ["new0", "new1", "new2", "new3"]
WITH_NEW = people(6) + "".join(map(person, NEW)) + group("app-a", *uids(4), *NEW) + group("app-b", *uids(6))


def back_up_running(agent: Agent) -> None:
    """As the sqlite3 command does beside the agent."""
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as state:
        for old in (agent.directory / "backup").iterdir():
            old.unlink()
        state.execute("vacuum into ?", [str(agent.directory / "backup" / "rollcall.sqlite3")])
    state.close()


@pytest.mark.parametrize(("method", "created"), [("POST", 0), ("POST", 1), ("POST", 3), ("PATCH", 4)])
def test_what_was_made_in_the_rest_of_that_cycle_is_taken_up(
    ready: Agent, scim: ScimService, method: str, created: int
) -> None:
    backed_up: list[Path] = []

    def in_the_middle(request: Request) -> bool:
        if request.method == method and len(scim.users) >= 6 + created and not backed_up:
            backed_up.append(ready.state)
            back_up_running(ready)
        return False

    scim.faults.append(Fault(in_the_middle))
    ready.configure(scim, guard=OPEN, upstream={"workers": 1})
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    assert scim.active() == mails(*uids(6), *NEW)
    assert backed_up
    restore(ready)
    ready.ldif.write_text(EVERYBODY)

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6))
    assert scim.membership() == {"app-a": mails(*uids(4)), "app-b": mails(*uids(6))}


def test_a_cycle_that_was_killed_costs_no_look_upstream(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(WITH_NEW)
    process = ready.start("sync")
    at = len(scim.requests) + 3
    assert kill_at(scim, process, lambda _request: len(scim.requests) >= at, carried_out=True)
    process.wait(timeout=60)
    before = len(scim.requests)

    assert ready.sync()["exit_code"] == 0

    looked = [request.path for request in scim.requests[before:] if request.method == "GET"]
    assert all("filter=" in path for path in looked if path.startswith("/scim/v2/Users"))
    assert scim.active() == mails(*uids(6), *NEW)


def test_a_record_is_counted_in_the_state_before_it_is_in_the_file(
    ready: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of an operation which sends nothing, like reading who is in a group: it may be killed in between."""
    counted: list[tuple[int, int]] = []
    append = AuditFile.append

    def noted(file: AuditFile, line: bytes) -> None:
        record = json.loads(line)
        with closing(sqlite3.connect(ready.state / "rollcall.sqlite3")) as beside:
            (records,) = beside.execute("select records from cycle where id = ?", [record["cycle_id"]]).fetchone()
        counted.append((record["number"], records))
        append(file, line)

    monkeypatch.setattr(AuditFile, "append", noted)
    ready.ldif.write_text(WITH_NEW)
    with closing(open_state(ready.state)) as state:
        run_cycle(connect(ready.configuration), state, full=True)

    assert len(counted) > len(NEW)
    assert all(number <= records for number, records in counted)
