"""What the daemon tells the service manager that has started it: sd_notify(3)."""

from __future__ import annotations

import itertools
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import running, wait_for
from tests.acceptance.test_live import joins
from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import group, people, uids
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import Fault, ScimService


class Manager:
    """Keeps what it is told, with the time."""

    def __init__(self, path: Path) -> None:
        self.told: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                message = self._socket.recv(65536).decode()
            except TimeoutError:
                continue
            self.told += [(time.monotonic(), line) for line in message.splitlines()]

    def lines(self, beginning: str) -> list[str]:
        return [line for _, line in self.told if line.startswith(beginning)]

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def test_it_tells_when_it_is_ready_how_it_goes_and_that_it_stops(
    agent: Agent, scim: ScimService, manager: Manager
) -> None:
    agent.configure(scim, schedule={"every": "1s"})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    with running(agent) as daemon:
        wait_for(lambda: manager.lines("STATUS=last cycle ended") != [])
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=20)

    assert manager.told[0][1] == "READY=1"
    assert "with exit code 0: all is as the directory has it" in manager.lines("STATUS=last cycle ended")[0]
    assert manager.lines("STOPPING=1") == ["STOPPING=1"]


def test_a_reload_in_a_long_cycle_lets_the_watchdog_wait_no_longer(
    agent: Agent, scim: ScimService, manager: Manager
) -> None:
    agent.configure(scim, upstream={"workers": 1}, schedule={"every": "1h"})
    agent.ldif.write_text(people(12) + group("app-a", *uids(12)))
    scim.faults.append(Fault(lambda request: request.method == "POST", times=1_000, delay=0.5))
    with running(agent) as daemon:
        wait_for(lambda: len(scim.users) >= 2)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "app-a" in scim.membership(), seconds=30)
        wait_for(lambda: len(manager.lines("READY=1")) == 2)

    fed = [at for at, line in manager.told if line == "WATCHDOG=1"]
    assert fed[-1] - fed[0] > 3
    assert max(later - earlier for earlier, later in itertools.pairwise(fed)) < 2


def test_a_reload_in_a_long_cycle_of_live_mode_lets_the_watchdog_wait_no_longer(
    tmp_path: Path, agent: Agent, scim: ScimService, manager: Manager
) -> None:
    place = tmp_path / "server"
    place.mkdir()
    directory = OpenLdap(place, history=History.SESSION_LOG)
    directory.load(plain(people(20) + group("app-a", *uids(3))))
    with directory:
        live = {"every": "1d", "live": True}
        agent.configure(scim, directory.settings(), upstream={"workers": 1}, schedule=live)
        with running(agent) as daemon:
            wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
            time.sleep(1.5)  # the watch begins when the first cycle has left a checkpoint
            scim.faults.append(Fault(lambda request: request.method == "POST", times=1_000, delay=0.5))
            directory.modify("\n".join(joins(f"u{number}") for number in range(8, 20)))
            wait_for(lambda: len(scim.users) >= 5)
            began = time.monotonic()
            daemon.send_signal(signal.SIGHUP)
            wait_for(lambda: len(manager.lines("READY=1")) == 2, seconds=30)

    assert len(scim.membership()["app-a"]) == 15
    fed = [at for at, line in manager.told if line == "WATCHDOG=1" and at > began - 1]
    assert fed[-1] - fed[0] > 3
    assert max(later - earlier for earlier, later in itertools.pairwise(fed)) < 2


def test_a_cycle_that_does_not_go_forward_feeds_no_watchdog(agent: Agent, scim: ScimService, manager: Manager) -> None:
    agent.configure(scim, upstream={"workers": 1}, schedule={"every": "1h"})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    scim.faults.append(Fault(lambda request: request.method == "POST", times=1, delay=6))
    with running(agent):
        wait_for(lambda: any(request.method == "POST" for request in scim.requests))
        began = time.monotonic()
        wait_for(lambda: len(scim.users) == 3, seconds=30)

    silent = [at for at, line in manager.told if line == "WATCHDOG=1" and began + 1.5 < at < began + 5]
    assert silent == []


@pytest.mark.usefixtures("manager")
def test_what_another_start_may_overcome_is_not_taken_for_wrong_settings(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, schedule={"every": "1h"})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    with running(agent):
        wait_for(lambda: "app-a" in scim.membership())
        second = agent.run("run")
    database = agent.state / "rollcall.sqlite3"
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = '9999'")
        opened.commit()
    newer = agent.run("run")
    database.rename(agent.state / "aside")
    database.mkdir()
    unusable = agent.run("run")
    agent.configuration.write_text("[skope]")
    wrong = agent.run("run")

    assert (second.code, newer.code, unusable.code, wrong.code) == (75, 2, 75, 2)
    assert "Another Rollcall is working with the state" in second.err
