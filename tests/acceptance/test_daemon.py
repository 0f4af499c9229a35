"""`rollcall run`: on schedule, one at a time, ended and reloaded by signals."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, ScimService
from tests.warm_agent import RunningAgent


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def running(agent: Agent) -> Iterator[RunningAgent]:
    process = agent.start("run")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=20)


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, schedule={"every": "1s"})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    return agent


def test_changes_follow_on_schedule_and_sigterm_ends_it_with_zero(ready: Agent, scim: ScimService) -> None:
    with running(ready) as daemon:
        wait_for(lambda: scim.membership().get("app-a") == {f"{uid}@example.com" for uid in uids(3)})
        ready.ldif.write_text(people(5) + group("app-a", *uids(5)))
        wait_for(lambda: len(scim.membership()["app-a"]) == 5)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=20)

    assert daemon.returncode == 0
    assert '"stopped"' in ready.log.read_text()


def test_sigterm_waits_for_the_requests_in_flight_and_begins_no_other(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, upstream={"workers": 2})
    ready.ldif.write_text(people(30) + group("app-a", *uids(30)))
    scim.faults.append(Fault(lambda r: r.method == "POST", times=1000, delay=0.5))
    with running(ready) as daemon:
        wait_for(lambda: len(scim.writes()) >= 2)
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=20)
    created = len(scim.users)
    status = ready.run("status", "--json").document

    assert daemon.returncode == 0
    assert 2 <= created <= 4
    assert len(scim.writes()) == created
    assert status["upstream"]["users"] == created  # what was in flight was acknowledged and recorded


def test_a_second_agent_on_the_same_state_is_refused(ready: Agent, scim: ScimService) -> None:
    with running(ready):
        wait_for(lambda: bool(scim.membership()))

        second = ready.run("sync")
        third = ready.run("run")
        looking = ready.run("plan"), ready.run("status")

    assert (second.code, third.code) == (2, 2)
    assert "Another Rollcall is working with the state" in second.err
    assert [done.code for done in looking] == [0, 0]


def test_sighup_takes_over_new_settings_and_refuses_wrong_ones(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("crm-b", "u0"))
    with running(ready) as daemon:
        wait_for(lambda: "app-a" in scim.membership())
        ready.configure(scim, schedule={"every": "1s"}, scope={"groups": ["not a DN"]})
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "the new settings are not used" in ready.log.read_text())
        after_wrong_settings = daemon.poll(), set(scim.membership())
        ready.configure(scim, schedule={"every": "1s"}, scope={"groups": ["name:app-*", "name:crm-*"]})
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "crm-b" in scim.membership())
        daemon.terminate()
        daemon.wait(timeout=20)

    assert after_wrong_settings == (None, {"app-a"})
    said = ready.log.read_text().replace('\\"', '"')
    assert '"not a DN" is not a distinguished name' in said
    assert "settings reloaded" in said


def test_settings_that_a_defect_keeps_from_being_read_end_no_daemon(ready: Agent, scim: ScimService) -> None:
    with running(ready) as daemon:
        wait_for(lambda: "app-a" in scim.membership())
        ready.configuration.write_text(f"deep = {'[' * 3000}")  # deeper than tomllib follows
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "because of a defect in Rollcall" in ready.log.read_text() or daemon.poll() is not None)
        ready.ldif.write_text(people(4) + group("app-a", *uids(4)))
        wait_for(lambda: len(scim.membership()["app-a"]) == 4)
        assert daemon.poll() is None

    assert "RecursionError" in ready.log.read_text()


def test_cycles_never_overlap(ready: Agent, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", times=1000, delay=0.7))
    with running(ready) as daemon:
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
        time.sleep(1)
        daemon.terminate()
        daemon.wait(timeout=20)

    posts = [path for method, path in scim.writes() if method == "POST"]
    assert sorted(posts) == ["/scim/v2/Groups"] + ["/scim/v2/Users"] * 3


def test_the_daemon_outlives_an_upstream_that_is_away(ready: Agent, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda _r: True, times=8, status=401))
    with running(ready) as daemon:
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
        assert daemon.poll() is None
