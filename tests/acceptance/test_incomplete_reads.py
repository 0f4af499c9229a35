"""A read that did not end well removes nothing, says so, and exits with 4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import SUFFIX, group, group_dn, people, uids
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import OpenLdap
from tests.servers.scim_service import ScimService

USERS = 60
PAGE = 20


@pytest.fixture
def directory(openldap: OpenLdap) -> OpenLdap:
    openldap.load(_plain(people(USERS) + group("app-all", *uids(USERS)) + group("app-few", *uids(5))))
    openldap.start()
    return openldap


@pytest.fixture
def proxy(directory: OpenLdap) -> Iterator[LdapFaultProxy]:
    with LdapFaultProxy(directory.port, counting=b"memberuid") as proxy:
        yield proxy


def _plain(ldif: str) -> str:
    """slapd makes its own entryUUIDs."""
    return "".join(line + "\n" for line in ldif.splitlines() if not line.startswith("entryUUID:"))


def _source(directory: OpenLdap, proxy: LdapFaultProxy) -> dict[str, object]:
    return directory.settings(urls=[proxy.url], starttls=False, page_size=PAGE, changes="full")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (3, "timeLimitExceeded"),
        (4, "sizeLimitExceeded"),
        (10, "referral"),
        (11, "adminLimitExceeded"),
        (50, "insufficientAccessRights"),
        (51, "busy"),
        (52, "unavailable"),
    ],
)
def test_an_error_on_any_page_removes_nothing(
    directory: OpenLdap, proxy: LdapFaultProxy, scim: ScimService, agent: Agent, code: int, name: str
) -> None:
    agent.configure(scim, _source(directory, proxy))
    assert agent.sync()["exit_code"] == 0
    before, writes = scim.membership(), len(scim.writes())
    directory.modify(f"dn: uid=u1,ou=People,{SUFFIX}\nchangetype: delete\n")

    for search in (1, 2, 4):  # the first page of the people, a later one, and the groups
        proxy.result_code, proxy.at_search = code, search
        report = agent.sync()

        assert report["exit_code"] == 4, search
        assert scim.membership() == before, search
        assert len(scim.writes()) == writes, search
        assert f"{name} ({code})" in report["sentences"][0], search
    status = agent.run("status")
    assert f"{name} ({code})" in status.out
    assert status.code == 4


def test_the_removal_that_waited_for_a_complete_read_follows_with_it(
    directory: OpenLdap, proxy: LdapFaultProxy, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, _source(directory, proxy))
    agent.sync()
    directory.modify(
        f"dn: {group_dn('app-all')}\nchangetype: modify\ndelete: member\nmember: uid=u1,ou=People,{SUFFIX}\n\n"
        f"dn: {group_dn('app-few')}\nchangetype: modify\ndelete: member\nmember: uid=u1,ou=People,{SUFFIX}\n\n"
        f"dn: uid=u1,ou=People,{SUFFIX}\nchangetype: delete\n"
    )
    proxy.result_code, proxy.at_search = 51, 2
    held = agent.sync()
    still_active = "u1@example.com" in scim.active()

    proxy.result_code = None
    report = agent.sync()

    assert held["exit_code"] == 4
    assert still_active
    assert report["exit_code"] == 0
    assert "u1@example.com" not in scim.active()
    assert scim.membership()["app-all"] == {f"{uid}@example.com" for uid in uids(USERS) if uid != "u1"}


@pytest.mark.parametrize("entries", [0, 5, 30, 61])
def test_a_dropped_connection_removes_nothing(
    directory: OpenLdap, proxy: LdapFaultProxy, scim: ScimService, agent: Agent, entries: int
) -> None:
    agent.configure(scim, _source(directory, proxy))
    agent.sync()
    before = scim.membership()

    proxy.cut_after_entries = entries
    report = agent.sync()

    assert report["exit_code"] == 4
    assert scim.membership() == before
    assert f"was lost after {entries // PAGE * PAGE if entries < 60 else 0} entries" in report["sentences"][0]
    assert report["sentences"][0] in agent.run("status").out


def test_a_base_that_does_not_exist_removes_nothing(directory: OpenLdap, scim: ScimService, agent: Agent) -> None:
    agent.configure(scim, directory.settings())
    agent.sync()
    before = scim.membership()

    agent.configure(scim, directory.settings(base_dn=f"ou=Nowhere,{SUFFIX}"))
    report = agent.sync()

    assert report["exit_code"] == 4
    assert scim.membership() == before
    assert f"there is no ou=Nowhere,{SUFFIX}" in report["sentences"][0]


def test_the_server_s_own_size_limit_is_noticed(tmp_path: Path, scim: ScimService, agent: Agent) -> None:
    directory = tmp_path / "limited"
    directory.mkdir()
    server = OpenLdap(directory, limits="sizelimit size.soft=10 size.hard=10 size.prtotal=30")
    server.load(_plain(people(USERS) + group("app-all", *uids(USERS))))
    with server:
        agent.configure(scim, server.settings(page_size=10))

        report = agent.sync()

    assert report["exit_code"] == 4
    assert "sizeLimitExceeded (4)" in report["sentences"][0]


def test_a_directory_that_suddenly_shows_nobody_stops_the_removals(
    directory: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory.settings())
    agent.sync()
    before = scim.membership()

    agent.configure(scim, directory.settings(user_filter="(uid=nobody-at-all)"))
    report = agent.sync()

    assert report["exit_code"] == 3
    assert scim.membership() == before
    assert "it held 60 people and now shows none" in report["sentences"][0]


def test_nothing_to_do_is_said_of_what_could_be_read_only(directory: OpenLdap, scim: ScimService, agent: Agent) -> None:
    agent.configure(scim, directory.settings())
    agent.sync()
    whole = [agent.run(command).out for command in ("sync", "plan")]
    directory.stop()
    parts = [agent.run(command).out for command in ("sync", "plan")]

    for said in whole:
        assert "nothing to do: the upstream is equal to the directory" in said
    for said in parts:
        assert "nothing to do: the upstream is equal to what could be read of the directory" in said


def test_check_names_a_source_that_does_not_answer_once(directory: OpenLdap, scim: ScimService, agent: Agent) -> None:
    agent.configure(scim, directory.settings())
    directory.stop()

    (told,) = (line for line in agent.run("check").out.splitlines() if line.startswith("NOT OK"))

    assert told.count("source corp") == 1
