"""A nested group that moves out of the base is unknown, not gone: its people stay where they are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, person_dn, uids
from tests.servers.openldap import READER_DN, History, OpenLdap
from tests.servers.scim_service import ScimService

INSIDE, OUTSIDE = f"ou=Groups,{SUFFIX}", f"ou=Outside,{SUFFIX}"
TEAM = group_dn("team")
CONTENT = plain(
    people(7)
    + group("team", *uids(3))
    + group("app-all", TEAM, *(f"u{number}" for number in range(3, 6)))
    + f"dn: {OUTSIDE}\nobjectClass: organizationalUnit\nou: Outside\n"
)
EVERYBODY = {f"{uid}@example.com" for uid in uids(6)}
OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


def renamed(dn: str, superior: str, name: str = "team") -> str:
    return f"dn: {dn}\nchangetype: modrdn\nnewrdn: cn={name}\ndeleteoldrdn: 1\nnewsuperior: {superior}\n\n"


# The account may see the group where it went, or nothing there, or nothing above the bases, or not even ask.
RIGHTS = {
    "sees it": "",
    "sees nothing there": f'access to dn.subtree="{OUTSIDE}" by * none',
    "sees nothing above the bases": (
        f'access to dn.base="{SUFFIX}" by * none\naccess to dn.subtree="{OUTSIDE}" by * none'
    ),
    "may not ask above the bases": (
        f'access to dn.base="{SUFFIX}" by dn.base="{READER_DN}" auth by * auth\n'
        f'access to dn.subtree="{OUTSIDE}" by * none'
    ),
}
JOINS = f"dn: {group_dn('app-all')}\nchangetype: modify\nadd: member\nmember: {person_dn('u6')}\n\n"


@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("history", list(History), ids=lambda kind: kind.name)
# A server that corrects the lists itself leaves less to get wrong.
@pytest.mark.parametrize(
    "integrity",
    [pytest.param(True, id="lists are corrected", marks=pytest.mark.slow_proof), pytest.param(False, id="lists stay")],
)
def test_the_people_of_a_nested_group_that_leaves_the_base_stay(
    tmp_path: Path, scim: ScimService, agent: Agent, history: History, rights: str, integrity: bool
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=history, integrity=integrity, access=RIGHTS[rights])
    server.load(CONTENT)
    agent.configure(scim, server.settings(user_base_dn=f"ou=People,{SUFFIX}", group_base_dn=INSIDE), guard=OPEN)
    with server:
        agent.sync()
        assert scim.membership()["app-all"] == EVERYBODY

        server.modify(renamed(TEAM, OUTSIDE))
        time.sleep(0.3)  # refint works a moment later
        agent.sync()
        server.modify(JOINS)
        for options in ((), ("--full",), ("--full",), ()):
            agent.sync(*options)
            assert scim.membership()["app-all"] == EVERYBODY | {"u6@example.com"}, options


@pytest.mark.parametrize("rights", RIGHTS)
@pytest.mark.parametrize("history", list(History), ids=lambda kind: kind.name)
def test_a_nested_group_that_is_renamed_as_it_leaves_the_base_is_known_by_the_name_that_came_for_it(
    tmp_path: Path, scim: ScimService, agent: Agent, history: History, rights: str
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=history, integrity=True, access=RIGHTS[rights])
    server.load(CONTENT)
    agent.configure(scim, server.settings(user_base_dn=f"ou=People,{SUFFIX}", group_base_dn=INSIDE), guard=OPEN)
    with server:
        agent.sync()
        server.modify(renamed(TEAM, OUTSIDE, "crew"))
        time.sleep(0.3)
        agent.sync()
        server.modify(JOINS)
        for options in ((), ("--full",), ("--full",), ()):
            agent.sync(*options)
            assert scim.membership()["app-all"] == EVERYBODY | {"u6@example.com"}, options

        server.modify(f"dn: {group_dn('app-all')}\nchangetype: modify\ndelete: member\nmember: cn=crew,{OUTSIDE}\n\n")
        agent.sync("--full")
        assert scim.membership()["app-all"] == (EVERYBODY | {"u6@example.com"}) - {
            f"{uid}@example.com" for uid in uids(3)
        }


@pytest.mark.parametrize("history", list(History), ids=lambda kind: kind.name)
def test_the_people_of_a_nested_group_that_is_deleted_leave_when_no_list_has_it(
    tmp_path: Path, scim: ScimService, agent: Agent, history: History
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=history, integrity=True)
    server.load(CONTENT)
    agent.configure(scim, server.settings(user_base_dn=f"ou=People,{SUFFIX}", group_base_dn=INSIDE), guard=OPEN)
    with server:
        agent.sync()
        server.modify(f"dn: {TEAM}\nchangetype: delete\n\n")
        time.sleep(0.3)
        agent.sync()

    assert scim.membership()["app-all"] == EVERYBODY - {f"{uid}@example.com" for uid in uids(3)}
