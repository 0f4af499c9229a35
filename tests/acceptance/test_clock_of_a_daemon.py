"""A daemon whose clock is set, or whose machine slept: cycles go on, and whoever watches it hears of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from agent.connection import connect
from agent.daemon import Daemon
from agent.service.supervisor import Unsupervised
from tests.acceptance.outside import Outside
from tests.acceptance.test_daemon import wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService


@pytest.fixture
def outside(agent: Agent, scim: ScimService) -> Outside:
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    outside = Outside(agent, scim)
    outside.configure(schedule={"every": "1h"})
    return outside


class Watching(Unsupervised):
    """Asks the daemon to stop without a signal, and counts its signs of life."""

    heard = 0

    def obey(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        del reload
        self.stop = stop

    def alive(self) -> None:
        self.heard += 1


@contextmanager
def scheduled(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BackgroundScheduler, Watching]]:
    """Run a daemon that has had its first cycle. Gives its scheduler, and who watches it."""
    made: list[BackgroundScheduler] = []

    def make(**options: Any) -> BackgroundScheduler:
        made.append(BackgroundScheduler(**options))
        return made[0]

    monkeypatch.setattr("agent.daemon.BackgroundScheduler", make)
    watching = Watching()
    thread = threading.Thread(target=Daemon(lambda: connect(outside.agent.configuration), watching).run)
    thread.start()
    try:
        wait_for(lambda: outside.answers() and outside.metric("cycles_total", exit_code="0") == 1)
        yield made[0], watching
    finally:
        watching.stop()
        thread.join(timeout=20)


def test_a_clock_that_is_set_back_delays_no_cycle(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    with scheduled(outside, monkeypatch) as (scheduler, _watching):
        # To the scheduler it is the same: the next cycle is as far away as the clock was set back.
        scheduler.modify_job("cycle", next_run_time=datetime.now(UTC) + timedelta(hours=10))
        wait_for(lambda: outside.metric("cycles_total", exit_code="0") == 2)
        time.sleep(1)  # it is one cycle and no storm
        assert outside.metric("cycles_total", exit_code="0") == 2
        assert outside.answers("/healthz")


def test_a_clock_that_is_set_forward_or_a_machine_that_slept_begins_the_cycle_that_was_due_meanwhile(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scheduled(outside, monkeypatch) as (scheduler, watching):
        with monkeypatch.context() as asleep:
            # The scheduler waits by another clock, and notices nothing.
            asleep.setattr(scheduler, "wakeup", lambda: None)
            scheduler.modify_job("cycle", next_run_time=datetime.now(UTC) - timedelta(hours=2))
        wait_for(lambda: outside.metric("cycles_total", exit_code="0") == 2)
        heard = watching.heard
        wait_for(lambda: watching.heard > heard + 1)
        assert outside.metric("cycles_total", exit_code="0") == 2
        assert outside.answers("/healthz")
