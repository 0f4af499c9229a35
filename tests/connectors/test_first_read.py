"""What changes while the first read is under way is not missed: the next read knows it, whatever the server offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.directory.mirror import absorb, checkpoint_of
from agent.state.database import State, open_state
from agent.state.tables import entry, membership
from connectors.base import Completeness, EntryFound, ReadEvent, Wanted
from connectors.ldap import LdapConnector, LdapSettings
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, person_dn, uids
from tests.population.directory_dump import Dump
from tests.servers.directory_389 import ADMIN_DN as ADMIN_389
from tests.servers.directory_389 import ADMIN_PASSWORD as PASSWORD_389
from tests.servers.directory_389 import Directory389
from tests.servers.openldap import ADMIN_DN, ADMIN_PASSWORD, History, OpenLdap

Server = OpenLdap | Directory389
WANTED = Wanted(frozenset({"mail", "sn"}))
PEOPLE = 40
CHANGES = (
    "".join(f"dn: {person_dn(uid)}\nchangetype: delete\n\n" for uid in ("u1", "u21", "u38"))
    + "".join(
        f"dn: {person_dn(uid)}\nchangetype: modrdn\nnewrdn: uid={uid}-new\ndeleteoldrdn: 1\n\n"
        for uid in ("u2", "u22", "u37")
    )
    + f"dn: {person_dn('late')}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: late\ncn: Late\nsn: Late\n"
    f"mail: late@example.com\n\n"
    f"dn: {group_dn('app-a')}\nchangetype: modify\ndelete: member\nmember: {person_dn('u5')}\n-\n"
    f"add: member\nmember: {person_dn('late')}\n\n"
)


@pytest.fixture(params=[*History, "389"], ids=lambda param: getattr(param, "name", param))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    place = tmp_path / "server"
    place.mkdir()
    server: Server = Directory389(place) if request.param == "389" else OpenLdap(place, history=request.param)
    server.load(plain(people(PEOPLE) + group("app-a", *uids(PEOPLE))))
    with server:
        yield server


@pytest.mark.parametrize("after", [1, 18, PEOPLE, PEOPLE + 1])
def test_what_changes_during_the_first_read_is_known_after_the_next(server: Server, tmp_path: Path, after: int) -> None:
    state = open_state(tmp_path / "state")
    settings = LdapSettings.model_validate(server.settings(page_size=5))

    first = absorb(state, "corp", interrupted(settings, after, lambda: server.modify(CHANGES)), "f")
    connector = LdapConnector(settings)
    second = absorb(state, "corp", connector.read(WANTED, checkpoint_of(state, "corp", "f")), "f")

    assert (first.completeness, second.completeness) == (Completeness.COMPLETE, Completeness.COMPLETE)
    assert held(state) == shown(server)
    state.close()


def interrupted(settings: LdapSettings, after: int, act: Callable[[], None]) -> Iterator[ReadEvent]:
    """The events of a full read; `act` comes between two of its entries."""
    seen = 0
    for event in LdapConnector(settings).read(WANTED, None):
        yield event
        seen += isinstance(event, EntryFound)
        if seen == after and isinstance(event, EntryFound):
            act()
    assert seen >= after


def held(state: State) -> dict[str, set[str]]:
    with state.read() as connection:
        return {
            row.dn.lower(): set(
                connection.execute(select(membership.c.value).where(membership.c.group_id == row.id)).scalars()
            )
            for row in connection.execute(select(entry).where(entry.c.present))
        }


def shown(server: Server) -> dict[str, set[str]]:
    account = (ADMIN_DN, ADMIN_PASSWORD) if isinstance(server, OpenLdap) else (ADMIN_389, PASSWORD_389)
    dump = Dump.of(server.starttls_url, *account, SUFFIX)
    return {dn: {value.lower() for value in held.get("member", ())} for dn, held in dump.entries.items()}
