"""A nested group that moves out of the base is unknown, not gone: its people stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, uids
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

INSIDE, OUTSIDE = f"ou=Groups,{SUFFIX}", f"ou=Outside,{SUFFIX}"
TEAM = group_dn("team")
CONTENT = plain(
    people(6)
    + group("team", *uids(3))
    + group("app-all", TEAM, *(f"u{number}" for number in range(3, 6)))
    + f"dn: {OUTSIDE}\nobjectClass: organizationalUnit\nou: Outside\n"
)
EVERYBODY = {f"{uid}@example.com" for uid in uids(6)}
OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


def renamed(dn: str, superior: str) -> str:
    return f"dn: {dn}\nchangetype: modrdn\nnewrdn: cn=team\ndeleteoldrdn: 1\nnewsuperior: {superior}\n\n"


@pytest.mark.parametrize("history", [History.PRESENT, History.SESSION_LOG], ids=lambda kind: kind.name)
def test_the_people_of_a_nested_group_that_leaves_the_base_stay(
    tmp_path: Path, scim: ScimService, agent: Agent, history: History
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=history, integrity=True)
    server.load(CONTENT)
    agent.configure(scim, server.settings(user_base_dn=f"ou=People,{SUFFIX}", group_base_dn=INSIDE), guard=OPEN)
    with server:
        agent.sync()
        assert scim.membership()["app-all"] == EVERYBODY

        server.modify(renamed(TEAM, OUTSIDE))
        agent.sync()
        agent.sync()
        assert (scim.membership()["app-all"], scim.active()) == (EVERYBODY, EVERYBODY)

        server.modify(f"dn: cn=team,{OUTSIDE}\nchangetype: delete\n\n")
        agent.sync("--full")
        assert scim.membership()["app-all"] == EVERYBODY - {f"{uid}@example.com" for uid in uids(3)}
