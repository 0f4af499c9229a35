"""Whom a domain controller that takes no ticket keeps out: by Kerberos, against Samba's own KDC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.base import Completeness, ReadEnded, ReadStarted, Wanted
from tests.servers.dns_server import DnsServer
from tests.servers.kerberos import answering_binds, configured, kerberos_error
from tests.servers.samba import HOST, NAMING_CONTEXT, READER_PASSWORD, REALM, SambaDomain

DOMAIN = REALM.lower()
OF_DOMAIN = f"_ldap._tcp.dc._msdcs.{DOMAIN}"
UNKNOWN = f"unknown.{DOMAIN}"  # to the KDC
ANOTHER_S_KEY = f"another.{DOMAIN}"  # the ticket for it is for another account, so the controller cannot read it
PLAYED = f"played.{DOMAIN}"  # the ticket is right, and the test says what becomes of it
_SKEW, _MODIFIED = 37, 41  # RFC 4120, 7.5.9
ACCOUNTS = ("reader", "another")


def services(account: str, *hosts: str) -> str:
    values = "".join(f"servicePrincipalName: ldap/{host}\n" for host in hosts)
    return f"dn: {account},{NAMING_CONTEXT}\nchangetype: modify\nadd: servicePrincipalName\n{values}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kerberos")


@pytest.fixture(scope="module")
def domain(place: Path) -> Iterator[SambaDomain]:
    domain = SambaDomain(place / "dc", also=(UNKNOWN, ANOTHER_S_KEY, PLAYED))
    domain.load(
        "".join(
            f"dn: CN={name},CN=Users,{NAMING_CONTEXT}\nobjectClass: user\nsAMAccountName: {name}\n\n"
            for name in ACCOUNTS
        ),
        passwords=dict.fromkeys(ACCOUNTS, READER_PASSWORD),
    )
    domain.export_keytab(place / "keytab")
    with domain, configured(place, domain.address):
        domain.modify(
            services("CN=DC1,OU=Domain Controllers", HOST, PLAYED) + services("CN=another,CN=Users", ANOTHER_S_KEY)
        )
        yield domain


def names(domain: SambaDomain, *first: str, of: str = OF_DOMAIN, at: str = "") -> DnsServer:
    """One after the other, and last the controller that serves. `at`: where the played one is."""
    hosts = [*first, HOST]
    return DnsServer(
        *((of, "SRV", f"{priority} 100 389 {host}.") for priority, host in enumerate(hosts)),
        *((host, "A", at if host == PLAYED else domain.address) for host in hosts),
    )


def read(controller: SambaDomain, place: Path, names: DnsServer, **changes: object) -> tuple[ReadStarted, ReadEnded]:
    table = controller.settings(
        logon="kerberos", bind_dn=f"reader@{REALM}", keytab_file=str(place / "keytab"), domain=DOMAIN,
        dns_servers=names.address, base_dn=f"CN=Users,{NAMING_CONTEXT}",
    )  # fmt: skip
    del table["bind_password"], table["urls"]
    events = list(ActiveDirectoryConnector(ActiveDirectorySettings(**table | changes)).read(Wanted(), None))  # type: ignore[arg-type]
    assert isinstance(events[0], ReadStarted)
    assert isinstance(events[-1], ReadEnded)
    return events[0], events[-1]


@pytest.fixture
def played_at(domain: SambaDomain) -> tuple[str, int]:
    """An address of the domain's network that nobody else has, and the port of LDAPS, which DNS does not tell."""
    return f"{domain.address.rpartition('.')[0]}.250", 636


@pytest.mark.parametrize("first", [UNKNOWN, ANOTHER_S_KEY])
def test_a_controller_that_gets_no_ticket_or_cannot_read_it_is_passed_over(
    domain: SambaDomain, place: Path, first: str
) -> None:
    with names(domain, first) as dns:
        started, ended = read(domain, place, dns)

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE), ended.reason
    assert dns.asked[f"{first} A"] == 1


@pytest.mark.parametrize(
    ("code", "said", "token"),
    [
        (49, b"80090346: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data 80090346, v4563", b""),
        (49, b"8009030C: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data 52e, v4563", b""),
        (8, b"00002028: LdapErr: DSID-0C090276, comment: The server requires binds to turn on integrity checking", b""),
        (49, b"", kerberos_error(_SKEW)),
        (49, b"", kerberos_error(_MODIFIED)),
        (0, b"", b""),
        (14, b"", b"no token of Kerberos"),
    ],
    ids=["channel", "no reason", "signing", "its clock", "another key", "takes anything", "garbage"],
)
def test_a_controller_that_does_not_take_the_ticket_is_passed_over(
    domain: SambaDomain, place: Path, played_at: tuple[str, int], code: int, said: bytes, token: bytes
) -> None:
    with (
        names(domain, PLAYED, at=played_at[0]) as dns,
        answering_binds(domain.certificates, code, said, token=token, at=played_at),
    ):
        started, ended = read(domain, place, dns)

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE), ended.reason
    assert dns.asked[f"{PLAYED} A"] == 1


@pytest.mark.parametrize(("data", "told"), [("533", "The account is disabled."), ("775", "The account is locked.")])
def test_what_concerns_the_account_is_not_tried_at_the_next_controller(
    domain: SambaDomain, place: Path, played_at: tuple[str, int], data: str, told: str
) -> None:
    said = f"8009030C: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data {data}, v4563".encode()
    with (
        names(domain, PLAYED, at=played_at[0]) as dns,
        answering_binds(domain.certificates, 49, said, at=played_at),
    ):
        ended = read(domain, place, dns)[1]

    assert told in ended.reason
    assert dns.asked[f"{HOST} A"] == 0


def test_when_no_controller_takes_the_ticket_each_is_told_with_its_reason(
    domain: SambaDomain, place: Path, played_at: tuple[str, int]
) -> None:
    records = [(OF_DOMAIN, "SRV", f"{n} 100 389 {host}.") for n, host in enumerate((UNKNOWN, ANOTHER_S_KEY, PLAYED))]
    addresses = [(UNKNOWN, "A", domain.address), (ANOTHER_S_KEY, "A", domain.address), (PLAYED, "A", played_at[0])]
    with (
        DnsServer(*records, *addresses) as dns,
        answering_binds(domain.certificates, 49, token=kerberos_error(_SKEW), at=played_at),
    ):
        ended = read(domain, place, dns)[1]

    assert ended.completeness is Completeness.FAILED
    assert f"Kerberos knows no service ldap of ldaps://{UNKNOWN}" in ended.reason
    assert f"setspn -S ldap/{UNKNOWN}" in ended.reason
    assert f"ldaps://{ANOTHER_S_KEY} refuses the ticket of reader@{REALM}" in ended.reason
    assert "The ticket seems to be for another key than the controller's" in ended.reason
    assert f"ldaps://{PLAYED} does not take the Kerberos ticket of reader@{REALM}" in ended.reason
    assert "The clocks of this machine and the domain controller differ by too much" in ended.reason


def test_a_controller_outside_of_the_domain_is_sent_a_ticket_since_it_has_to_prove_itself(
    domain: SambaDomain, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(domain.certificates.authority))
    with names(domain, of="_ldap._tcp.dc._msdcs.other.test") as dns:
        started, ended = read(domain, place, dns, domain="other.test", ca_file=None)

    assert (started.server, ended.completeness) == (f"ldaps://{HOST}", Completeness.COMPLETE), ended.reason
