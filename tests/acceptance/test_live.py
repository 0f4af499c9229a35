"""Live mode: what changes in the directory stands upstream within seconds, and nothing is missed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import group, group_dn, people, person_dn, uids
from tests.servers.directory_389 import Directory389
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

SECONDS = 3.0
NEVER = {"every": "1d", "live": True}


def joins(uid: str) -> str:
    return f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: {person_dn(uid)}\n"


def address(uid: str) -> str:
    return f"{uid}@example.com"


@pytest.fixture(params=["openldap", "openldap without session log", "389"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLdap | Directory389]:
    place = tmp_path / "server"
    place.mkdir()
    histories = {"openldap": History.SESSION_LOG, "openldap without session log": History.PRESENT}
    server: OpenLdap | Directory389
    server = OpenLdap(place, history=histories[request.param]) if request.param in histories else Directory389(place)
    server.load(plain(people(20) + group("app-a", *uids(3))))
    with server:
        yield server


def test_a_new_member_stands_upstream_within_three_seconds(
    directory: OpenLdap | Directory389, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory.settings(), schedule=NEVER)
    delays = []
    with running(agent) as daemon:
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
        time.sleep(1.5)  # the watch begins when the first cycle has left a checkpoint
        for uid in ("u10", "u11", "u12"):
            directory.modify(joins(uid))
            began = time.monotonic()
            wait_for(lambda uid=uid: address(uid) in scim.membership()["app-a"])  # type: ignore[misc]
            delays.append(time.monotonic() - began)
        daemon.terminate()
        daemon.wait(timeout=20)

    assert daemon.returncode == 0
    assert max(delays) < SECONDS, delays


def test_a_restarted_server_is_listened_to_again_and_nothing_is_missed(
    directory: OpenLdap | Directory389, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory.settings(), schedule=NEVER)
    with running(agent) as daemon:
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
        directory.restart()
        directory.modify(joins("u10"))  # before anybody listens again
        wait_for(lambda: address("u10") in scim.membership()["app-a"])
        directory.stop()
        time.sleep(1)
        directory.start()
        wait_for(lambda: agent.log.read_text().count("cannot be watched now") > 0)
        directory.modify(joins("u11"))
        wait_for(lambda: address("u11") in scim.membership()["app-a"])
        daemon.terminate()
        daemon.wait(timeout=20)

    assert daemon.returncode == 0


def test_a_connection_that_is_cut_is_made_again_and_a_burst_is_one_cycle(
    tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    place = tmp_path / "server"
    place.mkdir()
    server = OpenLdap(place, history=History.SESSION_LOG)
    server.load(plain(people(40) + group("app-a", *uids(3))))
    with server, LdapFaultProxy(server.port) as proxy:
        agent.configure(scim, server.settings(urls=[proxy.url], starttls=False), schedule=NEVER)
        with running(agent) as daemon:
            wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
            time.sleep(1.5)
            proxy.cut_everything()
            server.modify("\n".join(joins(f"u{number}") for number in range(10, 40)))
            wait_for(lambda: len(scim.membership()["app-a"]) == 33)
            cycles = agent.log.read_text().count('"cycle begins"')
            daemon.terminate()
            daemon.wait(timeout=20)

    assert cycles <= 4  # the first one, one or two for the burst, and not one a change


def test_a_source_that_cannot_be_watched_is_told_and_the_schedule_serves_it(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, schedule={"every": "1s", "live": True})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    with running(agent) as daemon:
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 3)
        agent.ldif.write_text(people(5) + group("app-a", *uids(5)))
        wait_for(lambda: len(scim.membership()["app-a"]) == 5)
        daemon.terminate()
        daemon.wait(timeout=20)

    assert "the source cannot be watched; the schedule serves it" in agent.log.read_text()
