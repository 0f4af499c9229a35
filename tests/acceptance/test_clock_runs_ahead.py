"""A clock that is far ahead makes nothing so old that it is thrown away: accounts, groups, the audit trail, cycles."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.acceptance.clocks import clock_is_set
from tests.acceptance.test_leavers import ALL, OPEN, WITHOUT
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

YEAR = timedelta(days=365)
LEAVER = "u2@example.com"


@pytest.fixture
def left(agent: Agent, scim: ScimService) -> Agent:
    """Have somebody and a group leave just now, to be deleted in a month."""
    agent.configure(scim, guard=OPEN, leavers={"delete_after": "30d", "delete_groups_after": "30d"})
    agent.ldif.write_text(ALL + group("app-b", "u0"))
    agent.sync()
    agent.ldif.write_text(WITHOUT)
    agent.sync()
    return agent


def weeks_pass(agent: Agent, number: int) -> None:
    """Let them pass with a cycle in each."""
    for _ in range(number):
        clock_is_set(agent, timedelta(days=7))
        agent.sync()


def names(scim: ScimService) -> set[str]:
    everything = (*scim.users.values(), *scim.groups.values())
    return {str(item.get("userName", item.get("displayName"))) for item in everything}


def test_a_clock_that_is_ahead_in_one_cycle_deletes_nobody(left: Agent, scim: ScimService) -> None:
    scim.ahead = None
    clock_is_set(left, YEAR)
    left.sync()
    clock_is_set(left, -YEAR)
    left.sync()

    assert {LEAVER, "app-b"} < names(scim)


def test_nobody_is_deleted_while_the_upstream_has_another_day(left: Agent, scim: ScimService) -> None:
    scim.ahead = -YEAR
    weeks_pass(left, 6)
    report = left.sync()

    assert {LEAVER, "app-b"} < names(scim)
    assert report["exit_code"] == 1
    for verb, name in (("delete user", LEAVER), ("delete group", "app-b")):
        told = next(
            text for text in report["sentences"] if text.startswith(f"{verb} {name}: the clock of this machine")
        )
        assert "and that of the upstream " in told
        assert "Correct the clock of this machine" in told


@pytest.mark.parametrize("differs", [None, timedelta(hours=23), timedelta(hours=-23)])
def test_who_is_due_is_deleted_where_the_upstream_has_the_same_day_or_tells_no_time(
    left: Agent, scim: ScimService, differs: timedelta | None
) -> None:
    scim.ahead = differs
    weeks_pass(left, 6)

    assert not {LEAVER, "app-b"} & names(scim)


def test_a_service_that_stood_still_for_long_deletes_who_is_due_some_cycles_later(
    left: Agent, scim: ScimService
) -> None:
    clock_is_set(left, timedelta(days=40))
    left.sync()
    at_once = names(scim)
    for _ in range(5):
        left.sync()

    assert {LEAVER, "app-b"} < at_once
    assert not {LEAVER, "app-b"} & names(scim)


def audit_files(agent: Agent) -> list[Path]:
    return sorted(agent.state.glob("audit-*.jsonl"))


def test_no_file_of_the_audit_trail_is_old_by_a_clock_that_is_ahead(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, audit={"max_size": "1kB", "keep": "400d"})
    agent.ldif.write_text(ALL)
    agent.sync()
    before = {path.read_bytes() for path in audit_files(agent)}
    clock_is_set(agent, timedelta(days=500))
    for number in range(3):
        agent.ldif.write_text(people(4 + number) + group("app-a", *uids(4 + number)))
        agent.sync()

    assert before
    assert before < {path.read_bytes() for path in audit_files(agent)}


def test_a_file_of_the_audit_trail_that_is_old_by_the_course_of_the_cycles_is_deleted(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, audit={"max_size": "1kB", "keep": "10d"})
    agent.ldif.write_text(ALL)
    agent.sync()
    first = audit_files(agent)[0].read_bytes()
    for number in range(3):
        clock_is_set(agent, timedelta(days=5))
        agent.ldif.write_text(ALL + group("app-b", "u0", f"u{number}"))
        agent.sync()

    assert first not in [path.read_bytes() for path in audit_files(agent)]


@pytest.mark.parametrize("by", [timedelta(days=-2500), timedelta(days=2500)])
def test_cycles_are_kept_though_the_clock_was_wrong_in_one(left: Agent, by: timedelta) -> None:
    before = {cycle["cycle_id"] for cycle in left.run("status", "--json").document["cycles"]}
    clock_is_set(left, by)
    left.sync()
    clock_is_set(left, -by)
    left.sync()

    cycles = left.run("status", "--json").document["cycles"]

    assert len(cycles) == len(before) + 2
    assert {cycle["cycle_id"] for cycle in cycles[2:]} == before
