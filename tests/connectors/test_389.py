"""The `ldap` connector against a real 389 Directory Server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.base import Completeness, EntryFound, EntryKind, Name, NameKind, ReadEnded, Wanted
from connectors.ldap import LdapConnector, LdapSettings
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, anchor_of, group, people, person, uids
from tests.servers.directory_389 import Directory389


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Directory389]:
    directory = tmp_path / "389"
    directory.mkdir()
    server = Directory389(directory)
    server.load(plain(people(25)) + person("kept") + group("all", *uids(25), "kept"))
    with server:
        yield server


def read(server: Directory389, **changes: object) -> tuple[list[EntryFound], ReadEnded]:
    settings = LdapSettings.model_validate(server.settings(**changes))
    *events, end = LdapConnector(settings).read(Wanted(frozenset({"mail"})), None)
    assert isinstance(end, ReadEnded)
    return [event for event in events if isinstance(event, EntryFound)], end


@pytest.mark.parametrize("page_size", [7, 1000])
def test_a_full_read_brings_everybody_and_the_group_with_its_members(server: Directory389, page_size: int) -> None:
    found, end = read(server, page_size=page_size)

    assert end.completeness is Completeness.COMPLETE
    users = [event.entry for event in found if event.entry.kind is EntryKind.USER]
    groups = [event.entry for event in found if event.entry.kind is EntryKind.GROUP]
    assert {user.attributes["mail"] for user in users} == {(f"{uid}@example.com",) for uid in [*uids(25), "kept"]}
    assert len({user.anchor for user in users}) == 26
    assert [group.attributes["cn"] for group in groups] == [("all",)]
    assert groups[0].members is not None
    assert groups[0].members.complete
    assert groups[0].members.names == {
        Name(NameKind.DN, f"uid={uid},ou=people,{SUFFIX}") for uid in [*uids(25), "kept"]
    }


def test_the_anchor_nsuniqueid_survives_a_rename_and_the_group_follows(server: Directory389) -> None:
    before = {event.entry.attributes.get("mail"): event.entry.anchor for event in read(server)[0]}
    server.modify(f"dn: uid=u1,ou=People,{SUFFIX}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n")

    found = read(server)[0]

    assert {event.entry.attributes.get("mail"): event.entry.anchor for event in found} == before
    group = next(event.entry for event in found if event.entry.kind is EntryKind.GROUP)
    assert group.members is not None
    assert Name(NameKind.DN, f"uid=renamed,ou=people,{SUFFIX}") in group.members.names
    assert len(group.members.names) == 26


def test_entryuuid_is_an_anchor_for_those_who_have_one(server: Directory389) -> None:
    # An import gives no entryUUID, so 25 imported people have none; the server gives one to whoever is added later.
    server.modify(
        f"dn: uid=added,ou=People,{SUFFIX}\nchangetype: add\nobjectClass: inetOrgPerson\n"
        "uid: added\ncn: Added\nsn: Added\nmail: added@example.com\n"
    )

    found, end = read(server, anchor="entryUUID")

    anchors = {event.entry.attributes.get("mail"): event.entry.anchor for event in found}
    assert anchors[("kept@example.com",)] == anchor_of("kept")
    assert len(anchors[("added@example.com",)]) == 36
    assert len(anchors) == 3
    assert end.completeness is Completeness.PARTIAL


def test_a_member_s_memberof_follows_the_group_and_integrity_removes_who_is_gone(server: Directory389) -> None:
    group = f"cn=new,ou=Groups,{SUFFIX}"
    server.modify(
        f"dn: {group}\nchangetype: add\nobjectClass: groupOfNames\ncn: new\n"
        f"member: uid=u1,ou=People,{SUFFIX}\nmember: uid=u2,ou=People,{SUFFIX}\n"
    )
    server.modify(f"dn: uid=u2,ou=People,{SUFFIX}\nchangetype: delete\n")

    settings = LdapSettings.model_validate(server.settings())
    events = list(LdapConnector(settings).read(Wanted(frozenset({"memberof"})), None))

    # The plug-in works out all groups of u1, the imported one too.
    entries = {event.entry.dn: event.entry for event in events if isinstance(event, EntryFound)}
    assert set(entries[f"uid=u1,ou=People,{SUFFIX}"].attributes["memberof"]) == {f"cn=all,ou=Groups,{SUFFIX}", group}
    assert entries[group].members is not None
    assert entries[group].members.names == {Name(NameKind.DN, f"uid=u1,ou=people,{SUFFIX}")}


def test_it_restarts_with_its_content(server: Directory389) -> None:
    before = {event.entry.anchor for event in read(server)[0]}

    server.restart()

    assert {event.entry.anchor for event in read(server)[0]} == before
