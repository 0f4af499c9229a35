"""The `active-directory` connector finds the controllers of a domain by DNS."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import dns.query
import dns.update
import pytest
from pydantic import ValidationError

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.active_directory.locator import Controller, in_order
from connectors.base import Completeness, Finding, ReadEnded, ReadStarted, Wanted
from tests.servers.dns_server import DnsServer
from tests.servers.samba import HOST, NAMING_CONTEXT, SambaDomain

DOMAIN = "corp.test"
SITE = "Default-First-Site-Name"
OF_DOMAIN = f"_ldap._tcp.dc._msdcs.{DOMAIN}"
OF_SITE = f"_ldap._tcp.{SITE}._sites.dc._msdcs.{DOMAIN}"
NOBODY = "127.0.0.1"  # no server listens on the ports of LDAP there


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDomain]:
    """A controller whose own DNS knows it, by records that Samba made."""
    with SambaDomain(tmp_path_factory.mktemp("domain") / "dc", dns=True) as domain:
        update = dns.update.UpdateMessage(DOMAIN)
        update.replace(f"{HOST}.", 60, "A", domain.address)
        assert dns.query.tcp(update, domain.address, timeout=10).rcode() == 0
        yield domain


def settings(controller: SambaDomain, *dns_servers: str, **changes: object) -> ActiveDirectorySettings:
    table = controller.settings(domain=DOMAIN, dns_servers=dns_servers, base_dn=f"CN=Users,{NAMING_CONTEXT}")
    del table["urls"]
    table |= changes
    return ActiveDirectorySettings(**table)  # type: ignore[arg-type]


def read(settings: ActiveDirectorySettings) -> tuple[ReadStarted, ReadEnded]:
    events = list(ActiveDirectoryConnector(settings).read(Wanted(), None))
    assert isinstance(events[0], ReadStarted)
    assert isinstance(events[-1], ReadEnded)
    return events[0], events[-1]


def check(settings: ActiveDirectorySettings) -> list[Finding]:
    return list(ActiveDirectoryConnector(settings).check())


def trouble(settings: ActiveDirectorySettings) -> str:
    """The reason of a read that failed, after making sure that `check` gives the same."""
    started, ended = read(settings)
    findings = check(settings)
    assert started.server == f"the domain controllers of {DOMAIN}"
    assert ended.completeness is Completeness.FAILED
    assert [(finding.ok, finding.message) for finding in findings] == [(False, ended.reason)]
    return ended.reason


def test_the_domain_s_own_dns_leads_to_its_controller(domain: SambaDomain) -> None:
    of_domain, of_site = settings(domain, domain.address), settings(domain, domain.address, site=SITE)
    starttls = settings(domain, domain.address, scheme="ldap")

    servers = [(started.server, ended.completeness) for started, ended in map(read, (of_domain, of_site, starttls))]

    assert servers == [
        (f"ldaps://{HOST}", Completeness.COMPLETE),
        (f"ldaps://{HOST}", Completeness.COMPLETE),
        (f"ldap://{HOST}", Completeness.COMPLETE),
    ]
    assert check(of_site)[0].message == f"ldaps://{HOST} answers and accepts Administrator@corp.test"


def test_a_site_without_records_falls_back_to_the_domain(domain: SambaDomain) -> None:
    started, ended = read(settings(domain, domain.address, site="Atlantis"))

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)


def test_check_tells_of_a_site_that_dns_does_not_know(domain: SambaDomain) -> None:
    mistyped = check(settings(domain, domain.address, site="Atlantis"))
    known = check(settings(domain, domain.address, site=SITE))

    (told,) = [finding for finding in mistyped if "Atlantis" in finding.message]
    assert told.ok
    assert told.message == (
        f"DNS knows no domain controllers of the site Atlantis: there is no _ldap._tcp.Atlantis._sites.dc._msdcs."
        f"{DOMAIN} (SRV) at {domain.address}; those of the whole domain are asked"
    )
    assert told.remedy == "Correct site, or let the controllers that are to serve it register there."
    assert [finding for finding in known if "site" in finding.message] == []


def test_a_site_that_dns_does_not_know_is_told_when_no_other_controller_serves(domain: SambaDomain) -> None:
    records = [(OF_DOMAIN, "SRV", "0 100 389 far.corp.test."), ("far.corp.test", "A", NOBODY)]
    with DnsServer(*records) as names:
        reason = trouble(settings(domain, names.address, site="Atlantis"))

    assert "ldaps://far.corp.test (at 127.0.0.1) cannot be reached" in reason
    assert "DNS knows no domain controllers of the site Atlantis" in reason
    assert "Correct site" in reason


def test_the_controllers_of_the_site_come_first_and_the_others_only_when_none_of_them_serves(
    domain: SambaDomain,
) -> None:
    records = [
        (OF_SITE, "SRV", "0 100 389 dead.corp.test."),
        (OF_SITE, "SRV", f"10 100 389 {HOST}."),
        (OF_DOMAIN, "SRV", "0 100 389 elsewhere.corp.test."),
        (OF_DOMAIN, "SRV", f"0 100 389 {HOST}."),
        ("dead.corp.test", "A", NOBODY),
        (HOST, "A", domain.address),
        ("elsewhere.corp.test", "A", NOBODY),
    ]
    with DnsServer(*records) as within:
        started, ended = read(settings(domain, within.address, site=SITE))
    with DnsServer(*(record for record in records if record[0] != HOST or record[1] != "A")) as outside:
        nobody = trouble(settings(domain, outside.address, site=SITE))

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)
    assert within.asked.keys() & {f"{OF_DOMAIN} SRV", "elsewhere.corp.test A"} == set()
    assert nobody.index("ldaps://dead.corp.test (at 127.0.0.1) cannot be reached") < nobody.index(
        "ldaps://elsewhere.corp.test (at 127.0.0.1) cannot be reached"
    )
    assert f"DNS names the domain controller {HOST}, and has no address of it" in nobody
    assert nobody.count(HOST) == 1


def test_a_controller_whose_certificate_has_another_name_is_passed_over(domain: SambaDomain) -> None:
    records = [
        (OF_DOMAIN, "SRV", "0 100 389 imposter.corp.test."),
        ("imposter.corp.test", "A", domain.address),
        (HOST, "A", domain.address),
    ]
    with DnsServer(*records) as alone:
        reason = trouble(settings(domain, alone.address))
    with DnsServer(*records, (OF_DOMAIN, "SRV", f"1 100 389 {HOST}.")) as both:
        started, ended = read(settings(domain, both.address))

    assert f"certificate of ldaps://imposter.corp.test (at {domain.address}) could not be verified" in reason
    assert "give the domain controller a certificate with the name by which DNS knows it" in reason
    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)


def publicly_trusted(
    controller: SambaDomain, patch: pytest.MonkeyPatch, *dns_servers: str, **changes: object
) -> ActiveDirectorySettings:
    """Without ca_file; the authority that the controller's certificate is from is among those of this machine."""
    patch.setenv("SSL_CERT_FILE", str(controller.certificates.authority))
    return settings(controller, *dns_servers, ca_file=None, **changes)


def test_a_name_outside_the_domain_is_sent_no_password_unless_the_authority_is_one_s_own(
    domain: SambaDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [("_ldap._tcp.dc._msdcs.other.test", "SRV", f"0 100 389 {HOST}."), (HOST, "A", domain.address)]
    with DnsServer(*records) as names:
        refused = publicly_trusted(domain, monkeypatch, names.address, domain="other.test")
        ended, findings = read(refused)[1], check(refused)
        asked = names.asked[f"{HOST} A"]
        own = read(settings(domain, names.address, domain="other.test"))

    assert ended.completeness is Completeness.FAILED
    assert f"DNS names domain controllers that lie outside of other.test ({HOST}): a forged answer" in ended.reason
    assert "Name the authority of your domain controllers as ca_file, or the controllers as urls." in ended.reason
    assert [(finding.ok, finding.message) for finding in findings] == [(False, ended.reason)]
    assert asked == 0
    assert (own[0].server, own[1].completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)


def test_names_within_the_domain_serve_whatever_else_dns_names_and_the_others_are_told(
    domain: SambaDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        (OF_DOMAIN, "SRV", "0 100 389 elsewhere.example."),
        (OF_DOMAIN, "SRV", "0 100 389 evilcorp.test."),  # it only ends like the domain
        (OF_DOMAIN, "SRV", f"10 100 389 {HOST}."),
        (HOST, "A", domain.address),
    ]
    with DnsServer(*records) as names:
        some = publicly_trusted(domain, monkeypatch, names.address)
        started, ended = read(some)
        (told,) = [finding for finding in check(some) if "outside" in finding.message]

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)
    assert names.asked.keys() & {"elsewhere.example A", "evilcorp.test A"} == set()
    assert told.ok
    assert "that lie outside of corp.test (elsewhere.example, evilcorp.test)" in told.message
    assert "as ca_file" in told.remedy


def test_the_domain_itself_may_be_the_name_of_a_controller(
    domain: SambaDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [
        (f"_ldap._tcp.dc._msdcs.{HOST}", "SRV", f"0 100 389 {HOST.upper()}."),
        (HOST, "A", domain.address),
    ]
    with DnsServer(*records) as names:
        started, ended = read(publicly_trusted(domain, monkeypatch, names.address, domain=HOST))

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE)


def test_addresses_that_come_with_the_names_are_not_asked_for(domain: SambaDomain) -> None:
    records = [(OF_DOMAIN, "SRV", f"0 100 389 {HOST}."), (HOST, "A", domain.address)]
    with DnsServer(*records, additional=True) as names:
        ended = read(settings(domain, names.address))[1]

    assert ended.completeness is Completeness.COMPLETE
    assert dict(names.asked) == {f"{OF_DOMAIN} SRV": 1}


def test_a_refused_password_is_not_tried_at_the_next_controller(domain: SambaDomain) -> None:
    records = [
        (OF_DOMAIN, "SRV", f"0 100 389 {HOST}."),
        (OF_DOMAIN, "SRV", "1 100 389 second.corp.test."),
        (HOST, "A", domain.address),
        ("second.corp.test", "A", domain.address),
    ]
    with DnsServer(*records) as names:
        ended = read(settings(domain, names.address, bind_password="wrong"))[1]

    assert "The name or the password is wrong." in ended.reason
    assert names.asked["second.corp.test A"] == 0


@pytest.mark.parametrize(
    ("records", "rcode", "told"),
    [
        ([], "NXDOMAIN", f"DNS knows no domain controllers of {DOMAIN}: there is no {OF_DOMAIN} (SRV) at 127.0.0.1:"),
        ([(OF_DOMAIN, "SRV", "0 0 0 .")], "NXDOMAIN", f"DNS knows no domain controllers of {DOMAIN}"),
        ([(OF_DOMAIN, "TXT", "text")], "NXDOMAIN", f"DNS knows no domain controllers of {DOMAIN}"),
        ([], "REFUSED", f"the answer of DNS about {OF_DOMAIN} (SRV) was an error from 127.0.0.1:"),
    ],
    ids=["no such name", "decidedly not available", "other records only", "refused"],
)
def test_a_domain_that_dns_does_not_know_is_told(
    domain: SambaDomain, records: list[tuple[str, str, str]], rcode: str, told: str
) -> None:
    with DnsServer(*records, rcode=rcode) as names:
        reason = trouble(settings(domain, names.address))

    assert told in reason
    assert "dns_servers" in reason


def test_a_dns_server_that_does_not_answer_is_told_in_time(domain: SambaDomain) -> None:
    with DnsServer(silent=True) as names:
        begin = time.monotonic()
        ended = read(settings(domain, names.address, site=SITE, connect_timeout=1))[1]
        took = time.monotonic() - begin

    assert f"the answer of DNS about {OF_SITE} (SRV) did not come from {names.address} within 1 seconds" in ended.reason
    assert took < 3


def test_another_dns_server_is_asked_when_one_does_not_answer(domain: SambaDomain) -> None:
    records = [(OF_DOMAIN, "SRV", f"0 100 389 {HOST}."), (HOST, "A", domain.address)]
    with DnsServer(silent=True) as dead, DnsServer(*records, additional=True) as alive:
        ended = read(settings(domain, dead.address, alive.address))[1]

    assert ended.completeness is Completeness.COMPLETE


def test_without_dns_servers_those_of_the_machine_are_asked_and_named(
    domain: SambaDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dns.resolver.Resolver.read_resolv_conf", lambda resolver, _: setattr(resolver, "nameservers", ["127.0.0.1"])
    )

    ended = read(settings(domain, connect_timeout=1))[1]

    assert f"{OF_DOMAIN} (SRV) did not come from the DNS servers of this machine (" in ended.reason
    assert "127.0.0.1" in ended.reason


def test_one_agent_takes_the_same_controller_every_time_and_many_share_them_by_weight() -> None:
    records = [
        Controller("small", 389, 0, 10),
        Controller("large", 389, 0, 30),
        Controller("spare", 389, 0, 0),
        Controller("away", 389, 5, 100),
    ]
    orders = [in_order(records, f"agent{number}") for number in range(2000)]
    again = [in_order(reversed(records), f"agent{number}") for number in range(2000)]
    firsts = Counter(order[0].host for order in orders)

    assert orders == again
    assert firsts.keys() == {"small", "large"}
    assert firsts["large"] / firsts["small"] == pytest.approx(3, rel=0.15)
    assert {(order[2].host, order[3].host) for order in orders} == {("spare", "away")}


def test_a_controller_that_goes_away_changes_nothing_for_the_agents_of_the_others() -> None:
    records = [Controller(f"dc{number}", 389, 0, 100) for number in range(5)]
    firsts = [in_order(records, f"agent{number}")[0] for number in range(200)]

    after = [in_order(records[1:], f"agent{number}")[0] for number in range(200)]

    assert [one for one, now in zip(firsts, after, strict=True) if one != now] == [
        one for one in firsts if one == records[0]
    ]


BASIC = {"name": "corp", "connector": "active-directory", "base_dn": NAMING_CONTEXT}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "name the domain controllers as urls, or a domain"),
        ({"urls": "ldaps://dc1.corp.test", "domain": DOMAIN}, "set either urls or domain, not both"),
        ({"urls": "ldaps://dc1.corp.test", "site": "Berlin"}, "site goes with domain only"),
        ({"urls": "ldaps://dc1.corp.test", "dns_servers": "10.0.0.1"}, "dns_servers goes with domain only"),
        ({"domain": "ldaps://corp.test"}, "is not a domain"),
        ({"domain": "corp..test"}, "is not a domain"),
        ({"domain": DOMAIN, "site": "Berlin.Mitte"}, "is not the name of a site"),
        ({"domain": DOMAIN, "dns_servers": ["ns1.corp.test"]}, "is not the address of a DNS server"),
        ({"domain": DOMAIN, "dns_servers": ["10.0.0.1:99999"]}, "is not the address of a DNS server"),
        ({"domain": DOMAIN, "scheme": "ldap", "starttls": False}, "would send the password unencrypted"),
    ],
)
def test_settings_that_do_not_lead_to_controllers_are_refused(table: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ActiveDirectorySettings(**BASIC | table)  # type: ignore[arg-type]


def test_domains_and_dns_servers_may_be_written_in_several_ways() -> None:
    table = {"domain": "Bücher.Example.", "dns_servers": ["10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:53"]}

    settings = ActiveDirectorySettings(**BASIC | table)  # type: ignore[arg-type]

    assert settings.domain == "xn--bcher-kva.example"
    assert len(settings.dns_servers) == 4


def test_where_the_controllers_are_is_not_part_of_what_is_read() -> None:
    def fingerprint(**table: object) -> str:
        settings = ActiveDirectorySettings(**BASIC | table)  # type: ignore[arg-type]
        return ActiveDirectoryConnector(settings).fingerprint(Wanted())

    assert {
        fingerprint(urls="ldaps://dc1.corp.test"),
        fingerprint(domain=DOMAIN),
        fingerprint(domain=DOMAIN, site="Berlin", dns_servers="10.0.0.1", scheme="ldap"),
    } == {fingerprint(urls="ldaps://dc2.corp.test")}
