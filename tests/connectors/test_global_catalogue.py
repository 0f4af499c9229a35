"""The `active-directory` connector asks the global catalogue of a real domain controller.

It has no other domain, so people of its own are asked for as if they were elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from pydantic import ValidationError

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.base import (
    Completeness,
    EntryDeleted,
    EntryFound,
    Finding,
    NameKind,
    ReadEnded,
    ReadEvent,
    Wanted,
)
from tests.servers.dns_server import DnsServer
from tests.servers.samba import HOST, NAMING_CONTEXT, READER_PASSWORD, SambaDomain

COLLEAGUES, PAGE = 25, 10
UNIT = f"OU=Colleagues,{NAMING_CONTEXT}"
ELSEWHERE = f"cn=somebody,{UNIT.lower()}"
NOBODY = "00000000-0000-4000-8000-000000000001"
ATTRIBUTES = frozenset({"mail", "sn", "givenname", "userprincipalname", "title"})
READER = f"dn: CN=reader,CN=Users,{NAMING_CONTEXT}\nobjectClass: user\nsAMAccountName: reader\n\n"


def colleague(number: int) -> str:
    lines = [
        f"dn: CN=c{number},{UNIT}", "objectClass: user", f"sAMAccountName: c{number}", f"mail: c{number}@example.com",
        "sn: Example", f"userPrincipalName: c{number}@corp.test", "title: Engineer",
        f"userAccountControl: {514 if number == 0 else 512}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n\n"


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDomain]:
    domain = SambaDomain(tmp_path_factory.mktemp("domain") / "dc", also=["gc1.corp.test"])
    unit = f"dn: {UNIT}\nobjectClass: organizationalUnit\n\n"
    domain.load(unit + "".join(map(colleague, range(COLLEAGUES))) + READER, passwords={"reader": READER_PASSWORD})
    with domain:
        yield domain


def settings(controller: SambaDomain, **changes: object) -> ActiveDirectorySettings:
    """The reader sees what everybody sees."""
    table = controller.settings(
        base_dn=f"CN=Users,{NAMING_CONTEXT}", page_size=PAGE, global_catalog=True,
        bind_dn="reader@corp.test", bind_password=READER_PASSWORD,
    )  # fmt: skip
    return ActiveDirectorySettings.model_validate(table | changes)


def increment(settings: ActiveDirectorySettings, elsewhere: Mapping[str, str]) -> list[ReadEvent]:
    """What a read brings that goes on from another."""
    connector = ActiveDirectoryConnector(settings)
    *_, first = connector.read(Wanted(ATTRIBUTES), None)
    assert isinstance(first, ReadEnded)
    assert first.completeness is Completeness.COMPLETE
    return list(connector.read(Wanted(ATTRIBUTES, elsewhere=elsewhere), first.checkpoint))


def guids(domain: SambaDomain) -> dict[str, str]:
    """The objectGUID of each colleague, by a source that reads them as its own."""
    events = ActiveDirectoryConnector(settings(domain, base_dn=UNIT)).read(Wanted(ATTRIBUTES), None)
    return {event.entry.anchor: event.entry.dn for event in events if isinstance(event, EntryFound)}


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_everybody_who_is_asked_for_comes_page_by_page_with_what_the_catalogue_holds(
    domain: SambaDomain, scheme: str
) -> None:
    people = guids(domain)
    asked = dict.fromkeys(people, ELSEWHERE) | {NOBODY: ELSEWHERE}

    *events, end = increment(settings(domain, urls=[f"{scheme}://{domain.address}"]), asked)

    found = {e.entry.anchor: e.entry for e in events if isinstance(e, EntryFound) and e.second_hand}
    assert {anchor: entry.dn for anchor, entry in found.items()} == people
    assert len(found) == COLLEAGUES > 2 * PAGE
    one = next(entry for entry in found.values() if entry.dn == f"CN=c7,{UNIT}")
    assert (one.attributes["mail"], one.attributes["sn"], one.active) == (("c7@example.com",), ("Example",), True)
    assert one.attributes["userprincipalname"] == ("c7@corp.test",)
    assert {name.kind for name in one.names} == {NameKind.DN, NameKind.GUID, NameKind.SID}
    assert [entry.dn for entry in found.values() if not entry.active] == [f"CN=c0,{UNIT}"]
    gone = [(event.anchor, event.exists, event.second_hand) for event in events if isinstance(event, EntryDeleted)]
    assert gone == [(NOBODY, False, True)]
    assert isinstance(end, ReadEnded)
    assert (end.completeness, end.reason) == (Completeness.COMPLETE, "")


def test_of_a_domain_that_it_does_not_have_nothing_is_concluded(domain: SambaDomain) -> None:
    *events, end = increment(settings(domain), {NOBODY: "cn=ann,dc=emea,dc=corp,dc=test"})

    assert [event for event in events if isinstance(event, EntryDeleted)] == []
    assert isinstance(end, ReadEnded)
    assert end.completeness is Completeness.COMPLETE
    assert "it shows nobody of dc=emea,dc=corp,dc=test, so nothing is concluded" in end.reason


def test_it_is_found_by_dns_under_the_name_of_the_forest(domain: SambaDomain) -> None:
    records = [
        ("_ldap._tcp.dc._msdcs.corp.test", "SRV", f"0 100 389 {HOST}."),
        ("_gc._tcp.corp.test", "SRV", "0 100 3268 gc1.corp.test."),
        (HOST, "A", domain.address),
        ("gc1.corp.test", "A", domain.address),
    ]
    people = guids(domain)
    with DnsServer(*records) as names:
        found_by_dns = settings(domain, urls=[], domain="corp.test", dns_servers=[names.address])
        *events, end = increment(found_by_dns, dict.fromkeys(people, ELSEWHERE))
        findings = check(found_by_dns)

    assert {event.entry.anchor for event in events if isinstance(event, EntryFound)} == {*people}
    assert isinstance(end, ReadEnded)
    assert end.reason == ""
    assert "the global catalogue at ldaps://gc1.corp.test:3269 answers" in [finding.message for finding in findings]


def test_a_forest_without_a_catalogue_in_dns_loses_nobody_and_is_told_of(domain: SambaDomain) -> None:
    records = [("_ldap._tcp.dc._msdcs.corp.test", "SRV", f"0 100 389 {HOST}."), (HOST, "A", domain.address)]
    with DnsServer(*records) as names:
        found_by_dns = settings(domain, urls=[], domain="corp.test", dns_servers=[names.address])
        *events, end = increment(found_by_dns, {NOBODY: ELSEWHERE})

    assert [event for event in events if isinstance(event, EntryFound | EntryDeleted)] == []
    assert isinstance(end, ReadEnded)
    assert end.completeness is Completeness.COMPLETE
    assert "DNS knows no global catalogues of corp.test: there is no _gc._tcp.corp.test (SRV)" in end.reason


def check(settings: ActiveDirectorySettings) -> list[Finding]:
    return list(ActiveDirectoryConnector(settings).check())


def test_check_tells_whether_the_catalogue_answers(domain: SambaDomain) -> None:
    well = check(settings(domain))
    ill = check(settings(domain, global_catalog_urls=["ldaps://127.0.0.1:9"]))

    assert f"the global catalogue at ldaps://{domain.address}:3269 answers" in [finding.message for finding in well]
    (trouble,) = [finding for finding in ill if not finding.ok]
    assert "ldaps://127.0.0.1:9 cannot be reached" in trouble.message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"global_catalog": False, "global_catalog_urls": ["ldaps://gc1"]}, "goes with global_catalog = true"),
        ({"global_catalog_urls": ["gc1.corp.test"]}, "is not an address"),
        ({"global_catalog_urls": ["ldaps://reader@gc1"]}, "holds no name or password"),
    ],
)
def test_settings_that_make_no_sense_are_refused(domain: SambaDomain, changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings(domain, **changes)


def test_an_address_without_a_port_is_the_catalogue_s(domain: SambaDomain) -> None:
    assert settings(domain, global_catalog_urls="ldap://gc1").global_catalog_urls == ("ldap://gc1:3268",)
