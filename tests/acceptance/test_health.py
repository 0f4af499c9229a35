"""/healthz and /readyz of a running daemon, and the address they are at."""

from __future__ import annotations

import signal
import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.acceptance.outside import Outside
from tests.acceptance.telling import in_the_state
from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.ports import free_port
from tests.servers.scim_service import Fault, ScimService


@pytest.fixture
def outside(agent: Agent, scim: ScimService) -> Outside:
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    return Outside(agent, scim)


def test_a_daemon_that_runs_is_alive_and_ready_after_its_first_complete_cycle(outside: Outside) -> None:
    with running(outside.agent):
        wait_for(lambda: outside.answers("/readyz"))
        alive, ready = outside.get("/healthz"), outside.get("/readyz")
        as_json = outside.get("/readyz", Accept="application/json")
    status = outside.agent.run("status", "--json").document

    assert (alive.status_code, ready.status_code) == (200, 200)
    assert ready.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert [line.partition(".")[0] for line in ready.text.splitlines()] == ["cycle: ok", "source corp: ok"]
    document = as_json.json()
    assert document["ready"] is True
    assert [part["about"] for part in document["parts"]] == ["cycle", "source corp"]
    assert document["parts"][1]["since"] <= status["sources"][0]["last_read_at"]


def test_a_daemon_that_never_read_a_source_completely_is_alive_and_not_ready(outside: Outside) -> None:
    outside.agent.ldif.write_text(people(3).rstrip("\n"))  # as if it had been cut
    with running(outside.agent):
        wait_for(lambda: "last_cycle_exit_code 4.0" in _metrics(outside))
        alive, ready = outside.get("/healthz"), outside.get("/readyz")

    assert (alive.status_code, ready.status_code) == (200, 503)
    assert "cycle: not ready. None has been complete yet. rollcall status tells the reason." in ready.text
    assert "source corp: not ready. It has never been read completely." in ready.text


def test_a_source_that_is_stale_makes_it_not_ready_and_the_other_one_stays_well(
    outside: Outside, agent: Agent, scim: ScimService
) -> None:
    (agent.directory / "partners.ldif").write_text(people(1))
    sources = [
        {"name": "corp", "connector": "ldif", "file": "directory.ldif"},
        {"name": "partners", "connector": "ldif", "file": "partners.ldif"},
    ]
    agent.configure(scim, *sources, health={"listen": outside.listen, "ready_within": "2s"}, schedule={"every": "1s"})
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        (agent.directory / "partners.ldif").unlink()
        said = ("source partners: not ready. Read completely at ", "source corp: ok.", "which is the limit. rollcall ")
        wait_for(lambda: all(text in outside.get("/readyz").text for text in said))
        assert outside.get("/readyz").status_code == 503


def test_a_schedule_that_has_no_cycle_now_does_not_make_it_stale(outside: Outside, agent: Agent) -> None:
    outside.configure(schedule={"every": "12h"})
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        in_the_state(agent, "UPDATE source SET fresh_at = datetime('now', '-11 hours')")
        in_the_state(agent, "UPDATE cycle SET ended_at = datetime('now', '-11 hours')")
        wait_for(lambda: f"{outside.get('/readyz', Accept='application/json').json()['parts'][1]['since']}" < _now(-10))
        rested = outside.get("/readyz").status_code
        in_the_state(agent, "UPDATE source SET fresh_at = datetime('now', '-14 hours')")
        wait_for(lambda: outside.get("/readyz").status_code == 503)

    assert rested == 200


def test_what_was_last_read_in_the_future_is_not_fresh(outside: Outside, agent: Agent) -> None:
    outside.configure(schedule={"every": "12h"})
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        in_the_state(agent, "UPDATE source SET fresh_at = datetime('now', '+10 hours')")
        in_the_state(agent, "UPDATE cycle SET ended_at = datetime('now', '+10 hours')")
        said = ("cycle: not ready. The last complete one ended at ", "source corp: not ready. Read completely at ")
        wait_for(lambda: all(text in outside.get("/readyz").text for text in said))
        told = outside.get("/readyz")

    assert told.status_code == 503
    assert told.text.count("which is yet to come: the clock was set back.") == 2


def test_cycles_of_before_the_clock_was_set_back_are_not_the_last_ones(outside: Outside, agent: Agent) -> None:
    outside.configure(schedule={"every": "12h"})
    agent.sync()
    agent.sync()
    in_the_state(agent, "UPDATE source SET fresh_at = datetime('now', '+10 hours')")
    in_the_state(agent, "UPDATE cycle SET ended_at = datetime('now', '+10 hours')")
    in_the_state(agent, "UPDATE cycle SET started_at = datetime(started_at, '+10 hours')")
    before = [cycle["cycle_id"] for cycle in agent.run("status", "--json").document["cycles"]]
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        cycles = [cycle["cycle_id"] for cycle in agent.run("status", "--json").document["cycles"]]

    assert cycles[1:] == before


def test_an_upstream_that_is_away_makes_it_not_ready_once_the_limit_is_over(
    outside: Outside, scim: ScimService
) -> None:
    outside.configure(health={"ready_within": "2s"})
    with running(outside.agent):
        wait_for(lambda: outside.answers("/readyz"))
        scim.faults.append(Fault(lambda _r: True, times=100_000, status=401))
        outside.agent.ldif.write_text(people(4) + group("app-a", *uids(4)))
        said = ("cycle: not ready. The last complete one ended at ", "source corp: ok.")
        wait_for(lambda: all(text in outside.get("/readyz").text for text in said))
        assert outside.get("/readyz").status_code == 503


def test_a_port_that_is_taken_is_told_and_everything_else_goes_on(outside: Outside, scim: ScimService) -> None:
    other = Agent(outside.agent.directory / "other")
    other.directory.mkdir()
    other.ldif.write_text(people(1) + group("app-b", "u0"))
    other.configure(scim, health={"listen": outside.listen}, schedule={"every": "1s"})
    with running(outside.agent):
        wait_for(outside.answers)
        with running(other) as second:
            wait_for(lambda: "app-b" in scim.membership())
            notices = other.run("status", "--json").document["notices"]
            other.configure(scim, health={"listen": f"127.0.0.1:{free_port()}"}, schedule={"every": "1s"})
            second.send_signal(signal.SIGHUP)
            wait_for(lambda: "settings reloaded" in other.log.read_text())
            after = other.run("status", "--json").document["notices"]
        assert outside.answers()

    told = f"health.listen: {outside.listen} is taken by another program, perhaps by another Rollcall on this machine"
    assert [sentence for sentence in notices if sentence.startswith(told)]
    assert told in other.log.read_text()
    assert [sentence for sentence in after if "health.listen" in sentence] == []


def test_the_service_manager_is_told_of_a_port_that_is_taken_and_status_forgets_it_with_the_daemon(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = outside.listen.partition(":")
    told: list[str] = []
    name = str(outside.agent.directory / "notify")
    with socket.create_server((host, int(port))), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        with running(outside.agent) as daemon:
            while not any("last cycle ended" in line for line in told):
                told.append(manager.recv(10_000).decode())
            daemon.terminate()
            daemon.wait(timeout=20)
    status = outside.agent.run("status", "--json").document

    trouble = f"; health.listen: {outside.listen} is taken by another program"
    assert f"READY=1\nSTATUS=the first cycle begins{trouble}" in told[0]
    assert trouble in told[-1]
    assert [sentence for sentence in status["notices"] if "health.listen" in sentence] == []


def test_new_settings_move_the_endpoint_and_turn_it_off(outside: Outside) -> None:
    with running(outside.agent) as daemon:
        wait_for(outside.answers)
        before, outside.listen = outside.listen, f"127.0.0.1:{free_port()}"
        outside.configure()
        daemon.send_signal(signal.SIGHUP)
        wait_for(outside.answers)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{before}/healthz", trust_env=False)
        outside.configure(health={"listen": ""})
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: not outside.answers())
        assert daemon.poll() is None


def test_a_timeout_of_the_upstream_that_looks_like_a_hanging_agent_is_refused(outside: Outside) -> None:
    outside.configure(upstream={"timeout": "2m"})
    refused = outside.agent.run("status")
    outside.configure(upstream={"timeout": "90s"})

    assert refused.code == 2
    assert 'upstream.timeout: write "90s" at most: ' in refused.err
    assert outside.agent.run("status").code == 0


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "localhost", "dc1.corp.example:9464", "127.0.0.1:0", "[::1]:70000"]
)
def test_an_address_that_is_none_is_refused_with_what_to_write(outside: Outside, listen: str) -> None:
    outside.configure(health={"listen": listen})

    done = outside.agent.run("status")

    assert done.code == 2
    assert f"{outside.agent.configuration}: health.listen: write an address of this machine and a port" in done.err
    assert f"(found '{listen}')" in done.err


def _metrics(outside: Outside) -> str:
    return outside.get("/metrics").text if outside.answers() else ""


def _now(hours: int) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
