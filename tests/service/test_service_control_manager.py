"""What the Service Control Manager of Windows hears, and what ends a daemon that hangs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from agent.service.windows.scm import ServiceControlManager


@dataclass
class Heard:
    """What a hosted service has reported."""

    reports: list[str] = field(default_factory=list)

    def running(self) -> None:
        self.reports.append("running")

    def stopping(self, milliseconds: int) -> None:
        assert milliseconds > 0
        self.reports.append("stopping")

    def stopped(self, code: int) -> None:
        self.reports.append(f"stopped with {code}")

    def trouble(self, text: str) -> None:
        self.reports.append(text)


def managed(reports: Heard) -> ServiceControlManager:
    """One that would not end the process of the tests."""
    return ServiceControlManager(reports, end=lambda _code: None)


def test_running_is_reported_when_ready_and_only_once() -> None:
    heard = Heard()
    manager = managed(heard)
    manager.obey(lambda: None, lambda: None)
    assert heard.reports == []

    manager.ready("the first cycle begins")
    manager.reloading()
    manager.ready("the new settings are in force")
    manager.stopping()

    assert heard.reports == ["running", "stopping"]


def test_a_stop_before_the_daemon_listens_is_not_lost() -> None:
    heard, stopped = Heard(), threading.Event()
    manager = managed(heard)

    manager.ask_to_stop()
    manager.obey(stopped.set, lambda: None)
    manager.ready("too late")

    assert stopped.is_set()
    assert heard.reports == ["stopping"]


def test_stop_and_reload_reach_the_daemon() -> None:
    asked: list[str] = []
    manager = managed(Heard())
    manager.obey(lambda: asked.append("stop"), lambda: asked.append("reload"))

    manager.ask_to_reload()
    manager.ask_to_stop()

    assert asked == ["reload", "stop"]


def test_a_daemon_that_shows_no_life_is_ended_with_a_code_and_a_reason() -> None:
    heard, ended = Heard(), threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    manager = ServiceControlManager(heard, patience=0.2, end=end)
    manager.ready("the first cycle begins")

    assert ended.wait(10)
    assert codes == [1]
    assert "has not gone forward" in heard.reports[-1]


def test_a_daemon_that_shows_life_or_stops_is_left_alone() -> None:
    codes: list[int] = []
    manager = ServiceControlManager(Heard(), patience=0.4, end=codes.append)
    manager.ready("the first cycle begins")

    for _ in range(10):
        threading.Event().wait(0.1)
        manager.alive()
    manager.stopping()
    threading.Event().wait(0.6)

    assert codes == []


def test_a_stop_that_hangs_is_ended_and_no_failure_that_starts_it_again() -> None:
    heard, ended = Heard(), threading.Event()
    manager = ServiceControlManager(heard, stopping=200, end=lambda _code: ended.set())
    manager.obey(lambda: None, lambda: None)
    manager.ready("the first cycle begins")
    manager.ask_to_stop()
    manager.stopping()

    assert heard.reports == ["running", "stopping", "stopping"]
    assert ended.wait(10)
    assert "was asked to stop" in heard.reports[3]
    assert heard.reports[4:] == ["stopped with 1"]
