"""Two kinds of operation on one object may both be refused: each waits and is told for itself."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from importlib import import_module

import pytest

from tests.acceptance.test_refused_deletions import scheduled_cycles
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, person, uids
from tests.older_schema import TO_SCHEMA_11
from tests.servers.scim_service import Fault, Request, ScimService

MIGRATION = import_module("agent.state.migrations.versions.0010_refusals")
BEFORE = people(5) + group("app-a", *uids(5))
AFTER = people(5) + person("x") + group("app-a", *uids(4), "x")


def of_a_group(request: Request) -> bool:
    return request.method == "PATCH" and "/Groups/" in request.path


@pytest.fixture
def refused(agent: Agent, scim: ScimService) -> Agent:
    """One joins a group and one leaves it, and the service changes no group."""
    agent.configure(scim, guard=NO_LIMITS)
    agent.ldif.write_text(BEFORE)
    agent.sync()
    scim.faults.append(Fault(of_a_group, times=1000, status=400))
    agent.ldif.write_text(AFTER)
    return agent


def test_each_waits_for_its_own_next_attempt(refused: Agent, scim: ScimService) -> None:
    codes = list(scheduled_cycles(refused, 1))
    sent = len(scim.writes())

    codes += scheduled_cycles(refused, 4)

    assert len(scim.writes()) == sent
    assert codes == [1, 1, 1, 1, 1]


def test_each_is_shown_with_its_attempts(refused: Agent) -> None:
    for _ in range(3):
        refused.sync()

    shown = refused.run("status", "--json").document["rejected"]

    assert {(item["operation"], item["attempts"]) for item in shown} == {("add members", 3), ("remove members", 3)}
    waits = [datetime.fromisoformat(item["next_attempt_at"]) - datetime.fromisoformat(item["since"]) for item in shown]
    assert min(waits).total_seconds() >= 4 * 60
    out = refused.run("status").out
    assert "add members cn=app-a" in out
    assert "remove members cn=app-a" in out


def test_one_object_is_counted_once(refused: Agent) -> None:
    report = refused.sync()

    assert report["counts"]["rejected"] == 1


def test_what_is_accepted_is_told_no_more_and_the_other_is(refused: Agent, scim: ScimService) -> None:
    refused.sync()
    scim.faults.clear()

    def removes(request: Request) -> bool:
        return of_a_group(request) and request.body["Operations"][0]["op"] == "remove"

    scim.faults.append(Fault(removes, times=1000, status=400))
    refused.sync()

    shown = refused.run("status", "--json").document["rejected"]

    assert [(item["operation"], item["attempts"]) for item in shown] == [("remove members", 2)]
    assert "x@example.com" in scim.membership()["app-a"]
    scim.faults.clear()
    assert refused.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == {f"{name}@example.com" for name in (*uids(4), "x")}


def test_explain_tells_each_step_why_that_one_waits(refused: Agent, scim: ScimService) -> None:
    scim.faults.clear()

    def of_kind(kind: str) -> Fault:
        def matches(request: Request) -> bool:
            return of_a_group(request) and request.body["Operations"][0]["op"] == kind

        return Fault(matches, times=1000, status=400, body=f'{{"detail": "no {kind} today"}}'.encode())

    scim.faults += [of_kind("add"), of_kind("remove")]
    list(scheduled_cycles(refused, 1))

    joins = refused.run("explain", "x@example.com", "--json").document["next"]
    leaves = refused.run("explain", "u4@example.com", "--json").document["next"]

    assert [step["waits"] for step in joins if step["verb"] == "add to group" and "no add today" in str(step["waits"])]
    taken_out = [step["waits"] for step in leaves if step["verb"] == "remove from group"]
    assert len(taken_out) == 1
    assert "no remove today" in taken_out[0]


def test_a_state_of_the_version_before_keeps_what_was_refused(refused: Agent, scim: ScimService) -> None:
    scim.faults.clear()
    scim.refuses = lambda user: "no room" if user["userName"] == "x@example.com" else None
    refused.sync()
    to_the_version_before(refused)

    (shown,) = refused.run("status", "--json").document["rejected"] if refused.sync() else ()

    assert (shown["operation"], shown["attempts"]) == ("create user", 2)
    assert "no room" in shown["reason"]


def to_the_version_before(agent: Agent) -> None:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as state:
        state.executescript("""
            create table kept as select * from rejected;
            drop table rejected;
            create table rejected (
                entry_id integer not null, operation varchar(40) not null, reason text not null,
                attempts integer not null, digest varchar(64) not null, first_at datetime not null,
                next_attempt_at datetime not null, final boolean default 0 not null, last_at datetime,
                constraint pk_rejected primary key (entry_id),
                constraint fk_rejected_entry_id foreign key(entry_id) references entry (id)
            );
            insert into rejected
                select entry_id, operation, reason, attempts, digest, first_at, next_attempt_at, final, last_at
                from kept;
            drop table kept;
            alter table create_attempt drop column name;
        """)
        state.executescript(TO_SCHEMA_11)
        state.execute("update alembic_version set version_num = ?", (MIGRATION.down_revision,))
