"""Who does not show the account how a change of theirs is marked is followed all the same.

That is entryCSN for OpenLDAP's syncrepl, modifyTimestamp, uSNChanged: of all or of some, at the first read or later.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.scripted_domain import domain_play
from tests.agent_runner import NO_LIMITS, Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, person_dn, uids
from tests.servers.openldap import READER_DN, History, OpenLdap
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import ScriptedActiveDirectory
from tests.servers.scripted_active_directory import person_dn as account_dn

GROUPS, A_GROUP, PEOPLE = f'dn.subtree="ou=Groups,{SUFFIX}"', "filter=(cn=app-a)", f'dn.subtree="ou=People,{SUFFIX}"'
A_PERSON = f'dn.exact="{person_dn("u2")}"'
TWO_BASES = {"user_base_dn": f"ou=People,{SUFFIX}", "group_base_dn": f"ou=Groups,{SUFFIX}"}


def hiding(attribute: str, place: str) -> str:
    return f"access to {place} attrs={attribute} by dn.exact={READER_DN} none by * break"


def slapd(place: Path, history: History, access: str = "") -> OpenLdap:
    (place / "slapd").mkdir()
    server = OpenLdap(place / "slapd", history=history, access=access)
    server.load(plain(people(40) + group("app-a", *uids(20)) + group("app-b", *uids(30))))
    return server


def leave_be_disabled_and_be_deleted(server: OpenLdap) -> None:
    """u1 leaves app-a, u2 is marked as having left, u3 is deleted."""
    server.modify(
        f"dn: {group_dn('app-a')}\nchangetype: modify\ndelete: member\nmember: {person_dn('u1')}\n\n"
        f"dn: {person_dn('u2')}\nchangetype: modify\nreplace: employeeType\nemployeeType: left\n\n"
        f"dn: {person_dn('u3')}\nchangetype: delete\n"
    )


def still_there(scim: ScimService) -> set[str]:
    """Whoever of them has what was taken away."""
    return {"u2@example.com", "u3@example.com"} & scim.active() | {"u1@example.com"} & scim.membership()["app-a"]


def begin(agent: Agent, scim: ScimService, server: OpenLdap, **settings: object) -> None:
    agent.configure(scim, server.settings(inactive_when=["employeeType=left"], **settings), guard=NO_LIMITS)
    agent.sync()


@pytest.mark.parametrize("bases", [{}, TWO_BASES], ids=["one base", "two bases"])
@pytest.mark.parametrize("place", [GROUPS, A_GROUP, PEOPLE, A_PERSON])
def test_entries_that_hide_their_entry_csn_are_followed_by_timestamps(
    tmp_path: Path, agent: Agent, scim: ScimService, place: str, bases: dict[str, object]
) -> None:
    with slapd(tmp_path, History.SESSION_LOG, hiding("entryCSN", place)) as server:
        begin(agent, scim, server, **bases)
        leave_be_disabled_and_be_deleted(server)
        report = agent.sync()

    assert still_there(scim) == set()
    assert report["sources"][0]["extent"] == "incremental"


def test_one_of_many_that_hides_its_entry_csn_is_followed_by_timestamps(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    """Before a full read only a few are looked at, so it takes one to see that syncrepl would leave changes out."""
    late = person_dn("u39")
    with slapd(tmp_path, History.SESSION_LOG, hiding("entryCSN", f'dn.exact="{late}"')) as server:
        begin(agent, scim, server)
        server.modify(f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: {late}\n")
        joined = agent.sync()["sources"][0]
        server.modify(f"dn: {late}\nchangetype: modify\nreplace: employeeType\nemployeeType: left\n")
        left = agent.sync()["sources"][0]
        told = " ".join(agent.run("check").out.split())

    assert "u39@example.com" not in scim.active()
    assert f"may not read entryCSN of {late}" in joined["note"]
    assert [joined["extent"], left["extent"]] == ["full", "incremental"]
    assert "changes are found by syncrepl, OpenLDAP, if all show entryCSN as the first people and groups do" in told


def test_one_of_many_that_hides_its_entry_csn_and_its_timestamp_makes_every_read_full(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    late = person_dn("u39")
    with slapd(tmp_path, History.SESSION_LOG, hiding("entryCSN,modifyTimestamp", f'dn.exact="{late}"')) as server:
        begin(agent, scim, server)
        reports = [agent.sync() for _ in range(4)]
        server.modify(f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: {late}\n")
        agent.sync()
        server.modify(f"dn: {late}\nchangetype: modify\nreplace: employeeType\nemployeeType: left\n")
        agent.sync()
    server.set_access("")
    with server:
        after = [agent.sync() for _ in range(4)]

    assert "u39@example.com" not in scim.active()
    assert {report["sources"][0]["extent"] for report in reports} == {"full"}
    assert after[-1]["sources"][0]["extent"] == "incremental"


@pytest.mark.parametrize("place", [GROUPS, PEOPLE])
@pytest.mark.parametrize("bases", [{}, TWO_BASES], ids=["one base", "two bases"])
def test_a_right_to_see_the_entry_csn_that_is_lost_between_two_reads_is_noticed(
    tmp_path: Path, agent: Agent, scim: ScimService, place: str, bases: dict[str, object]
) -> None:
    server = slapd(tmp_path, History.SESSION_LOG)
    with server:
        begin(agent, scim, server, **bases)
    server.set_access(hiding("entryCSN", place))
    with server:
        leave_be_disabled_and_be_deleted(server)
        report = agent.sync()

    assert still_there(scim) == set()
    assert "may not read entryCSN of" in report["sources"][0]["note"]


@pytest.mark.parametrize("place", [GROUPS, A_PERSON])
def test_a_right_to_see_the_timestamp_that_is_lost_between_two_reads_is_noticed(
    tmp_path: Path, agent: Agent, scim: ScimService, place: str
) -> None:
    server = slapd(tmp_path, History.NONE)
    with server:
        begin(agent, scim, server)
        assert agent.sync()["sources"][0]["extent"] == "incremental"
    server.set_access(hiding("modifyTimestamp", place))
    with server:
        leave_be_disabled_and_be_deleted(server)
        report = agent.sync()

    assert still_there(scim) == set()
    assert "may not read modifyTimestamp of" in report["sources"][0]["note"]


def test_a_right_to_see_the_number_that_is_lost_between_two_reads_is_noticed(scim: ScimService, agent: Agent) -> None:
    """With the list that an account without tombstones gets after every change."""
    domain, leaver = ScriptedActiveDirectory(8), account_dn("u3")
    domain.unseen |= domain.tombstones.keys()
    with domain_play(agent, scim, domain, changes="usn") as play:
        domain.modify(leaver, useraccountcontrol=[b"514"])
        del domain.entries[leaver]["usnchanged"]
        domain.modify(account_dn("u5"), sn=[b"Later"])
        report = play.cycle()

        assert "does not show its uSNChanged" in str(report.sources[0]["note"])
        assert "u3@example.com" not in scim.active()
