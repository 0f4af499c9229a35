"""A cycle that cannot run is not hidden behind the last one that could: monitoring asks `rollcall status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.errors import StateProblem
from agent.observe import audit_tail
from agent.restored_state import is_older
from agent.state.database import open_state
from tests.acceptance.outside import Outside
from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

WHY = "audit.jsonl cannot be opened: Is a directory"


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    assert agent.sync()["exit_code"] == 0
    return agent


@contextmanager
def unreadable_trail(agent: Agent) -> Iterator[None]:
    trail = agent.state / "audit.jsonl"
    trail.rename(agent.directory / "aside")
    trail.mkdir()
    yield
    trail.rmdir()
    (agent.directory / "aside").rename(trail)


def told(agent: Agent) -> tuple[int, Any]:
    done = agent.run("status", "--json")
    return done.code, done.document["could_not_run"]


def test_status_says_why_no_cycle_can_run_until_one_does(ready: Agent) -> None:
    assert told(ready) == (0, None)
    with unreadable_trail(ready):
        first = [ready.run("sync").code for _ in range(2)]
        code, failure = told(ready)
        shown = ready.run("status")

    assert (first, code, failure["exit_code"], shown.code) == ([2, 2], 2, 2, 2)
    assert WHY in failure["reason"]
    assert failure["since"] <= failure["at"]
    assert WHY in shown.out.replace("\n", "")
    assert "owner" not in failure["reason"]
    assert ready.sync()["exit_code"] == 0
    assert told(ready) == (0, None)
    assert "No cycle can run" not in ready.run("status").out


def test_it_is_known_since_when_no_cycle_can_run(ready: Agent) -> None:
    with unreadable_trail(ready):
        ready.run("sync")
        since = told(ready)[1]["since"]
        wait_for(lambda: ready.run("sync").code == 2 and told(ready)[1]["at"] > since)

        assert told(ready)[1]["since"] == since


def test_a_cycle_that_ends_otherwise_badly_is_no_such_cycle(ready: Agent) -> None:
    with unreadable_trail(ready):
        ready.run("sync")
    ready.ldif.unlink()

    assert ready.sync()["exit_code"] == 4
    assert told(ready) == (4, None)


def test_a_defect_is_told_too_without_its_words(ready: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_directory: Path) -> None:
        raise ValueError("a token perhaps")

    monkeypatch.setattr("agent.restored_state.last_record_of", broken)
    state = open_state(ready.state)
    with pytest.raises(ValueError, match="a token"):
        run_cycle(connect(ready.configuration), state)
    state.close()

    code, failure = told(ready)

    assert code == 2
    assert "defect in Rollcall" in failure["sentence"]
    assert "token" not in failure["sentence"]


def test_the_daemon_s_cycles_are_told_as_well(agent: Agent, scim: ScimService) -> None:
    outside = Outside(agent, scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        with unreadable_trail(agent):
            wait_for(lambda: outside.metric("cycles_failed_in_a_row") > 0)
            assert told(agent)[0] == 2
        wait_for(lambda: told(agent) == (0, None))


def test_check_goes_on_when_the_trail_cannot_be_read(ready: Agent) -> None:
    with unreadable_trail(ready):
        done = ready.run("check", "--json")

    assert done.code == 2
    findings = {item["subject"]: item for item in done.document}
    assert WHY in findings["scope"]["message"]
    assert [findings[subject]["ok"] for subject in ("settings", "state", "upstream", "notice")] == [True] * 4


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError(13, "Permission denied", "audit.jsonl"), "correct the owner and the rights"),
        (PermissionError(1, "Operation not permitted", "audit.jsonl"), "correct the owner and the rights"),
        (OSError(5, "Input/output error", "audit.jsonl"), "repair the disk"),
    ],
)
def test_the_remedy_is_for_the_trouble(
    ready: Agent, error: OSError, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_path: Path) -> None:
        raise error

    monkeypatch.setattr(audit_tail, "opened", refuses)
    state = open_state(ready.state)
    with pytest.raises(StateProblem, match=remedy):
        is_older(state, ready.state)
    state.close()
