"""Another domain controller than last time, or one with older content: no removal that is not proven."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.active_directory_changes import COMPANY, beginning, crowd, record_of_members, record_of_person
from tests.acceptance.kept_checkpoint import keep, kept
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.samba import SambaDomain
from tests.servers.scim_service import ScimService

LDAP_REQUESTS = 3
JOINED, LEFT = "new@corp.test", "u0@corp.test"


@pytest.fixture
def domain(tmp_path: Path) -> Iterator[SambaDomain]:
    """A domain that was copied before somebody joined the group app-a and somebody left it; both were read."""
    domain = SambaDomain(tmp_path / "dc", plain=True)
    domain.load(beginning())
    domain.back_up()
    yield domain
    domain.stop()


both_ways = pytest.mark.parametrize("agent", ["dirsync", "usn"], indirect=True)


@pytest.fixture
def agent(request: pytest.FixtureRequest, agent: Agent, domain: SambaDomain, scim: ScimService) -> Agent:
    agent.configure(
        scim, domain.settings(base_dn=COMPANY, changes=getattr(request, "param", "dirsync")), guard=NO_LIMITS
    )
    with domain:
        agent.sync()
        domain.modify(record_of_person("new") + record_of_members("app-a", "add", "new"))
        domain.modify(record_of_members("app-a", "delete", "u0"))
        assert agent.sync()["exit_code"] == 0
    assert in_the_group(scim) == (True, False)
    return agent


def in_the_group(scim: ScimService) -> tuple[bool, bool]:
    members = scim.membership()["app-a"]
    return JOINED in members, LEFT in members


def known(agent: Agent) -> int:
    """Return the highest number that the controller had given when it was read."""
    return int(kept(agent).standing["known"])


def restored(domain: SambaDomain, received: int | None) -> SambaDomain:
    domain.restore(domain.directory.with_name("dc-backup"))
    domain.become_another(received)
    return domain


def set_replication_delay(agent: Agent, seconds: int) -> None:
    agent.sources[0]["replication_delay"] = seconds
    agent.write()


def test_nothing_is_taken_from_a_controller_that_has_not_received_what_was_read(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    with restored(domain, known(agent) - 1):
        report = agent.sync()

    assert report["exit_code"] == 4
    assert "knows less of" in report["sources"][0]["reason"]
    assert in_the_group(scim) == (True, False)


def test_a_controller_that_has_received_everything_is_read_in_full_and_believed(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    with restored(domain, known(agent)):
        report = agent.sync()

    assert (report["exit_code"], report["sources"][0]["extent"]) == (0, "full")
    assert "another domain controller" in report["sources"][0]["note"]
    assert in_the_group(scim) == (False, True)


def test_nothing_is_taken_from_a_controller_that_does_not_tell_until_it_has_had_time_to_hear(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    with restored(domain, None):
        report = agent.sync()
        again = agent.sync()
        before = in_the_group(scim)
        set_replication_delay(agent, 0)
        last = agent.sync()

    assert [report["exit_code"], again["exit_code"]] == [4, 4]
    assert "whether it knows all that was read" in report["sources"][0]["reason"]
    assert before == (True, False)
    assert (last["exit_code"], last["sources"][0]["extent"]) == (0, "full")
    assert in_the_group(scim) == (False, True)


@both_ways
def test_nothing_is_taken_from_an_older_copy_of_the_same_database_until_it_is_accepted_by_hand(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    domain.restore(domain.directory.with_name("dc-backup"))
    with domain:
        report = agent.sync()
        before = in_the_group(scim)
        accepted = agent.sync("--full")

    assert report["exit_code"] == 4
    assert "rollcall sync --full" in report["sources"][0]["reason"]
    assert before == (True, False)
    assert (accepted["exit_code"], accepted["sources"][0]["extent"]) == (0, "full")
    assert in_the_group(scim) == (False, True)


@both_ways
def test_a_cycle_with_nothing_to_do_makes_three_requests(domain: SambaDomain, scim: ScimService, agent: Agent) -> None:
    assert_idle_in_few_requests(domain, scim, agent)


@pytest.mark.slow_proof
def test_a_cycle_with_nothing_to_do_makes_three_requests_in_a_large_domain(tmp_path: Path, scim: ScimService) -> None:
    (tmp_path / "another agent").mkdir()
    agent = Agent(tmp_path / "another agent")  # which has read no other domain before
    domain = SambaDomain(tmp_path / "large", plain=True)
    domain.load(beginning() + crowd(14_000, "out-of-scope"))
    agent.configure(scim, domain.settings(base_dn=COMPANY), guard=NO_LIMITS)
    assert_idle_in_few_requests(domain, scim, agent)


def assert_idle_in_few_requests(domain: SambaDomain, scim: ScimService, agent: Agent) -> None:
    with domain, LdapFaultProxy(domain.port, address=domain.address) as proxy:
        agent.sources[0] |= {"urls": [proxy.url], "starttls": False}
        agent.write()
        agent.sync()
        agent.sync()  # hears of its own first logon, which is a change, too
        sent, proxy.requests = len(scim.requests), 0

        report = agent.sync()

    assert (report["exit_code"], report["sources"][0]["extent"]) == (0, "incremental")
    assert proxy.requests <= LDAP_REQUESTS
    assert len(scim.requests) == sent


def test_whoever_was_away_for_as_long_as_tombstones_last_reads_in_full(
    domain: SambaDomain, scim: ScimService, agent: Agent
) -> None:
    checkpoint = kept(agent)
    position = {**checkpoint.position, "looked at": "2026-01-01T00:00:00+00:00"}
    keep(agent, replace(checkpoint, position=position))
    with domain:
        report = agent.sync()

    assert (report["exit_code"], report["sources"][0]["extent"]) == (0, "full")
    assert "days ago" in report["sources"][0]["note"]
    assert in_the_group(scim) == (True, False)
