"""Who is renamed or moved while the directory is being read is not taken for somebody who left."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.state.database import open_state
from connectors.ldap.session import Session
from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, person, uids
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

FIRST, SECOND = f"ou=First,{SUFFIX}", f"ou=Second,{SUFFIX}"
UNIT, GROUPS = f"ou=Unit,{SECOND}", f"ou=Groups,{SUFFIX}"
OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}
IN_UNIT = [f"uid=in-{uid},{UNIT}" for uid in uids(3)]
DIRECTLY = [f"uid={uid},{SECOND}" for uid in uids(3)]
CHANGES = {
    "a unit is renamed": f"dn: {UNIT}\nchangetype: modrdn\nnewrdn: ou=Renamed\ndeleteoldrdn: 1\n",
    "a unit moves": f"dn: {UNIT}\nchangetype: modrdn\nnewrdn: ou=Unit\ndeleteoldrdn: 1\nnewsuperior: {FIRST}\n",
    "a person is renamed": f"dn: uid=u0,{SECOND}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n",
    "a person moves": (
        f"dn: uid=u0,{SECOND}\nchangetype: modrdn\nnewrdn: uid=u0\ndeleteoldrdn: 1\nnewsuperior: {FIRST}\n"
    ),
}


@pytest.mark.parametrize("history", [History.NONE, History.PRESENT, History.SESSION_LOG], ids=lambda kind: kind.name)
@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("before", [SECOND, GROUPS], ids=["before its base is read", "before the groups are read"])
def test_nobody_is_lost_by_what_happens_during_a_full_read(
    tmp_path: Path, scim: ScimService, agent: Agent, monkeypatch: pytest.MonkeyPatch,
    history: History, what: str, before: str,
) -> None:  # fmt: skip
    place = tmp_path / "slapd"
    place.mkdir()
    # refint corrects the members of the groups, as directories do.
    server = OpenLdap(place, history=history, integrity=True)
    units = "".join(
        f"dn: {dn}\nobjectClass: organizationalUnit\nou: {dn[3:].partition(',')[0]}\n\n" for dn in (FIRST, SECOND, UNIT)
    )
    people = "".join(person(dn[4:].partition(",")[0], dn=dn) for dn in [*IN_UNIT, *DIRECTLY])
    server.load(plain(units + people + group("app-a", *IN_UNIT, *DIRECTLY)))
    agent.configure(scim, server.settings(user_base_dn=[FIRST, SECOND], group_base_dn=GROUPS), guard=OPEN)
    with server:
        connection, state = connect(agent.configuration), open_state(agent.state)
        assert run_cycle(connection, state).exit_code == 0
        everybody = scim.active()
        assert scim.membership() == {"app-a": everybody}

        happened = at_search_below(before, lambda: server.modify(CHANGES[what]), monkeypatch)
        lost = []
        for full in (True, False, False):
            run_cycle(connection, state, full=full)
            lost.append((everybody - scim.active(), everybody - scim.membership()["app-a"]))
        state.close()

    assert happened == [before]
    assert lost == [(set(), set())] * 3


def at_search_below(base: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let something happen just before the first search for whole entries below a base."""
    search, happened = Session.search, []

    def delayed(
        session: Session, below: str, wanted: str, attributes: list[str], page_size: int | None = None
    ) -> object:
        if below == base and "mail" in attributes and not happened:
            happened.append(below)
            act()
            time.sleep(0.3)  # refint works a moment later
        return search(session, below, wanted, attributes, page_size)

    monkeypatch.setattr(Session, "search", delayed)
    return happened
