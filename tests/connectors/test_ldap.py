"""The `ldap` connector against a real OpenLDAP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.base import (
    Completeness,
    Entry,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    Name,
    NameKind,
    ReadEnded,
    ReadStarted,
    Wanted,
)
from connectors.ldap import LdapConnector, LdapSettings
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, people, person, uids
from tests.servers.certificates import certificates
from tests.servers.openldap import OpenLdap
from tests.servers.ports import free_port

WANTED = Wanted(frozenset({"mail", "sn"}))


def read(settings: dict[str, Any], wanted: Wanted = WANTED) -> tuple[dict[str, Entry], ReadEnded]:
    events = list(LdapConnector(LdapSettings(**settings)).read(wanted, None))
    assert isinstance(events[0], ReadStarted)
    assert isinstance(events[-1], ReadEnded)
    return {e.entry.attributes["cn"][0]: e.entry for e in events if isinstance(e, EntryFound)}, events[-1]


@pytest.fixture
def directory(openldap: OpenLdap) -> OpenLdap:
    other_groups = f"""dn: cn=unique,ou=Groups,{SUFFIX}
objectClass: groupOfUniqueNames
cn: unique
uniqueMember: UID=U1, OU=people,{SUFFIX}
uniqueMember: uid=u2,ou=People,{SUFFIX}#'0101'B

dn: cn=posix,ou=Groups,{SUFFIX}
objectClass: posixGroup
cn: posix
gidNumber: 7
memberUid: u3
memberUid: P1

dn: uid=p1,ou=People,{SUFFIX}
objectClass: account
objectClass: posixAccount
uid: p1
cn: Posix Only
uidNumber: 1
gidNumber: 1
homeDirectory: /

"""
    openldap.load(plain(people(25) + group("names", *uids(25))) + other_groups)
    openldap.start()
    return openldap


@pytest.mark.parametrize("page_size", [1, 7, 26, 1000])
def test_every_entry_comes_whatever_the_page_size(directory: OpenLdap, page_size: int) -> None:
    found, end = read(directory.settings(page_size=page_size))

    assert (end.completeness, end.reason) == (Completeness.COMPLETE, "")
    assert set(found) == {f"{uid.title()} Example" for uid in uids(25)} | {"Posix Only", "names", "unique", "posix"}
    assert found["U7 Example"].attributes["mail"] == ("u7@example.com",)


def test_three_kinds_of_group_name_their_members(directory: OpenLdap) -> None:
    found, _ = read(directory.settings())

    def members(name: str) -> set[Name]:
        held = found[name].members
        assert held is not None
        assert held.complete
        return set(held.names)

    assert members("names") == {Name(NameKind.DN, f"uid={uid},ou=people,{SUFFIX}") for uid in uids(25)}
    assert members("unique") == {Name(NameKind.DN, f"uid={uid},ou=people,{SUFFIX}") for uid in ("u1", "u2")}
    assert members("posix") == {Name(NameKind.UID, "u3"), Name(NameKind.UID, "p1")}
    assert Name(NameKind.UID, "p1") in found["Posix Only"].names
    assert found["names"].kind is EntryKind.GROUP


def test_the_anchor_is_the_server_s_and_survives_a_rename(directory: OpenLdap) -> None:
    before, _ = read(directory.settings())
    directory.modify(
        f"dn: uid=u1,ou=People,{SUFFIX}\nchangetype: modrdn\nnewrdn: uid=renamed\ndeleteoldrdn: 1\n"
        f"newsuperior: ou=Groups,{SUFFIX}\n"
    )

    after, _ = read(directory.settings())

    assert before["U1 Example"].anchor == after["U1 Example"].anchor
    assert len(before["U1 Example"].anchor) == 36
    assert before["U1 Example"].names != after["U1 Example"].names


def test_ldaps_and_starttls_verify_the_certificate_and_the_name(directory: OpenLdap, tmp_path: Path) -> None:
    other = str(certificates(which="other").authority)
    outcomes = {}
    for url in (directory.url, directory.starttls_url, directory.url.replace("127.0.0.1", "localhost")):
        outcomes[url] = read(directory.settings(urls=[url]))[1].completeness
        wrong = read(directory.settings(urls=[url], ca_file=other))[1]
        assert wrong.completeness is Completeness.FAILED
        assert "could not be verified" in wrong.reason
    home = tmp_path / "wrong-name"
    home.mkdir()
    misnamed = OpenLdap(home, names="DNS:somewhere.else.example")
    misnamed.load("")
    with misnamed:
        for url in (misnamed.url, misnamed.starttls_url):
            end = read(misnamed.settings(urls=[url]))[1]
            assert end.completeness is Completeness.FAILED
            assert "could not be verified" in end.reason

    assert set(outcomes.values()) == {Completeness.COMPLETE}


def test_the_next_server_is_asked_when_one_is_away_but_not_when_the_password_is_wrong(directory: OpenLdap) -> None:
    away = f"ldaps://127.0.0.1:{free_port()}"

    found, end = read(directory.settings(urls=[away, directory.url]))
    wrong = read(directory.settings(urls=[directory.url, away], bind_password="no"))[1]
    nobody = read(directory.settings(urls=[away, away]))[1]

    assert end.completeness is Completeness.COMPLETE
    assert len(found) == 29
    assert "refuses the name or password" in wrong.reason
    assert away not in wrong.reason
    assert nobody.reason.count("cannot be reached") == 2


def test_a_lost_sentinel_makes_the_read_partial(directory: OpenLdap) -> None:
    there = read(directory.settings(sentinel=f"uid=u1,ou=People,{SUFFIX}"))[1]
    gone = read(directory.settings(sentinel=f"uid=nobody,ou=People,{SUFFIX}"))[1]

    assert there.completeness is Completeness.COMPLETE
    assert gone.completeness is Completeness.PARTIAL
    assert "the sentinel uid=nobody" in gone.reason


def test_an_entry_without_its_anchor_makes_the_read_partial(directory: OpenLdap) -> None:
    found, end = read(directory.settings(anchor="employeeNumber"))

    assert found == {}
    assert end.completeness is Completeness.PARTIAL
    assert "has no employeenumber" in end.reason


def test_an_entry_that_lost_its_classes_is_told_and_not_taken_for_gone(directory: OpenLdap) -> None:
    settings = directory.settings(user_filter="(uid=*)", user_classes=["inetOrgPerson"])

    events = list(LdapConnector(LdapSettings(**settings)).read(WANTED, None))  # type: ignore[arg-type]

    # As new as it is, the entry is read once more at the end.
    told = [event for event in events if isinstance(event, EntryUnreadable)]
    assert {(event.dn, event.anchor is not None) for event in told} == {(f"uid=p1,ou=People,{SUFFIX}", True)}
    assert "no object class that makes it a user" in told[0].reason
    end = events[-1]
    assert isinstance(end, ReadEnded)
    assert end.completeness is Completeness.COMPLETE  # its anchor is known, so the mirror keeps it


def test_one_of_several_bases_missing_makes_the_read_partial(directory: OpenLdap) -> None:
    end = read(directory.settings(base_dn=[f"ou=People,{SUFFIX}", f"ou=Nowhere,{SUFFIX}"]))[1]

    assert end.completeness is Completeness.PARTIAL
    assert f"there is no ou=Nowhere,{SUFFIX}" in end.reason


def test_a_subordinate_tree_on_another_server_makes_the_read_partial_unless_ignored(openldap: OpenLdap) -> None:
    elsewhere = f"dn: ou=Branch,{SUFFIX}\nobjectClass: referral\nobjectClass: extensibleObject\nou: Branch\n"
    openldap.load(plain(person("u1")) + elsewhere + f"ref: ldap://branch.example/ou=Branch,{SUFFIX}\n\n")
    openldap.start()

    partial = read(openldap.settings())[1]
    ignored = read(openldap.settings(continuation_references="ignore"))[1]

    assert partial.completeness is Completeness.PARTIAL
    assert "is held by another server (ldap://branch.example/" in partial.reason
    assert ignored.completeness is Completeness.COMPLETE


def test_the_fingerprint_changes_with_what_is_read_and_not_with_who_answers(directory: OpenLdap) -> None:
    def fingerprint(wanted: Wanted = WANTED, **changes: object) -> str:
        return LdapConnector(LdapSettings(**directory.settings(**changes))).fingerprint(wanted)  # type: ignore[arg-type]

    same = fingerprint()

    assert fingerprint(urls=["ldaps://other.example"], bind_password="new", page_size=10) == same
    assert fingerprint(base_dn=f"ou=People,{SUFFIX}") != same
    assert fingerprint(user_filter="(objectClass=inetOrgPerson)") != same
    assert fingerprint(Wanted(frozenset({"mail"}))) != same


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"urls": ["http://ldap.example"]}, "is not an address"),
        ({"urls": ["ldaps://:secret@ldap.example"]}, "holds no name or password"),
        ({"urls": ["ldap://ldap.example"], "starttls": False}, "unencrypted"),
        ({"urls": ["LDAP://ldap.example"], "starttls": False}, "unencrypted"),
        ({"urls": ["ldap://127.0.0.1", "Ldap://10.0.0.1"], "starttls": False}, "unencrypted"),
        ({"base_dn": "nonsense"}, "write a DN like"),
        ({"user_filter": "objectClass=person"}, "balanced brackets"),
        ({"user_filter": "(uid=a)(uid=b)"}, "balanced brackets"),
        ({"group_filter": "(cn=a))((cn=b)"}, "balanced brackets"),
        ({"group_filter": "(&(cn=a)(cn))"}, "balanced brackets"),
        ({"bind_password": None}, "bind_password_file"),
        ({"bind_password": ""}, "anonymous"),
        ({"ca_file": "/nowhere/ca.pem"}, "does not exist"),
        ({"page_size": 0}, "greater than or equal to 1"),
    ],
)
def test_wrong_settings_are_refused_with_the_remedy(directory: OpenLdap, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LdapSettings(**directory.settings(**changes))  # type: ignore[arg-type]
