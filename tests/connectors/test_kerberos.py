"""Logging on to a domain by Kerberos, with the key of a keytab, against Samba's own KDC."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.base import Completeness, ReadEnded, ReadStarted, Wanted
from connectors.ldap import LdapSettings
from tests.servers.certificates import certificates
from tests.servers.dns_server import DnsServer
from tests.servers.kerberos import answering_binds, configured
from tests.servers.samba import HOST, NAMING_CONTEXT, READER_PASSWORD, REALM, SambaDomain

ACCOUNTS = ("reader", "renewed", "disabled", "gone")
DOMAIN = REALM.lower()
CONTROLLER = f"CN=DC1,OU=Domain Controllers,{NAMING_CONTEXT}"


def dn(name: str) -> str:
    return f"CN={name},CN=Users,{NAMING_CONTEXT}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kerberos")


@pytest.fixture(scope="module")
def keytab(place: Path) -> Path:
    return place / "keytab"


@pytest.fixture(scope="module")
def domain(place: Path, keytab: Path) -> Iterator[SambaDomain]:
    domain = SambaDomain(place / "dc")
    domain.load(
        "".join(f"dn: {dn(name)}\nobjectClass: user\nsAMAccountName: {name}\n\n" for name in ACCOUNTS),
        passwords=dict.fromkeys(ACCOUNTS, READER_PASSWORD),
    )
    domain.export_keytab(keytab)
    password = base64.b64encode('"Renewed-2026-Heron"'.encode("utf-16-le")).decode()
    with domain, configured(place, domain.address):
        domain.modify(
            # A Windows controller has this name of its own accord.
            f"dn: {CONTROLLER}\nchangetype: modify\nadd: servicePrincipalName\nservicePrincipalName: ldap/{HOST}\n"
            "servicePrincipalName: ldap/localhost\n\n"
            f"dn: {dn('renewed')}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {password}\n\n"
            f"dn: {dn('disabled')}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n\n"
            f"dn: {dn('gone')}\nchangetype: delete\n\n"
        )
        yield domain


@pytest.fixture(scope="module")
def names(domain: SambaDomain) -> Iterator[DnsServer]:
    with DnsServer(
        (f"_ldap._tcp.dc._msdcs.{DOMAIN}", "SRV", f"0 100 389 {HOST}."), (HOST, "A", domain.address)
    ) as names:
        yield names


def table(domain: SambaDomain, keytab: Path, names: DnsServer, **changes: object) -> dict[str, object]:
    table = domain.settings(
        logon="kerberos",
        bind_dn=f"reader@{REALM}",
        keytab_file=str(keytab),
        domain=DOMAIN,
        dns_servers=names.address,
        base_dn=f"CN=Users,{NAMING_CONTEXT}",
    )
    del table["bind_password"], table["urls"]
    return table | changes


def read(table: dict[str, object]) -> tuple[ReadStarted, ReadEnded]:
    events = list(ActiveDirectoryConnector(ActiveDirectorySettings(**table)).read(Wanted(), None))  # type: ignore[arg-type]
    assert isinstance(events[0], ReadStarted)
    assert isinstance(events[-1], ReadEnded)
    return events[0], events[-1]


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_the_key_of_a_keytab_logs_on_and_leaves_no_ticket_behind(
    domain: SambaDomain, keytab: Path, names: DnsServer, place: Path, tmp_path: Path, scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    started, ended = read(table(domain, keytab, names, scheme=scheme))

    assert (started.server, ended.completeness) == (f"{scheme}://{HOST}", Completeness.COMPLETE)
    assert list(tmp_path.iterdir()) == []
    assert not (place / "tickets").exists()


@pytest.mark.parametrize(
    ("principal", "told"),
    [
        ("renewed", "The key in keytab_file is not that of the account. Every new password makes the keytab useless"),
        ("disabled", "The account is disabled, locked or expired"),
        ("gone", "There is no such account: write bind_dn as NAME@REALM"),
        ("nobody", "keytab_file holds no key of that name"),
    ],
)
def test_why_there_is_no_ticket_is_told_in_words_and_no_controller_is_asked(
    domain: SambaDomain, keytab: Path, names: DnsServer, principal: str, told: str
) -> None:
    before = names.asked.total()

    ended = read(table(domain, keytab, names, bind_dn=f"{principal}@{REALM}"))[1]

    assert ended.completeness is Completeness.FAILED
    assert f"no Kerberos ticket to be had for {principal}@{REALM} with {keytab}" in ended.reason
    assert told in ended.reason
    assert names.asked.total() == before


def test_a_file_that_is_no_keytab_is_told(domain: SambaDomain, names: DnsServer, tmp_path: Path) -> None:
    (tmp_path / "keytab").write_text("no keytab")

    ended = read(table(domain, tmp_path / "keytab", names))[1]

    assert "no Kerberos ticket to be had" in ended.reason
    assert str(tmp_path / "keytab") in ended.reason


def test_a_kdc_that_cannot_be_reached_is_told(
    domain: SambaDomain, keytab: Path, names: DnsServer, tmp_path: Path
) -> None:
    with configured(tmp_path, "127.0.0.1:9"):
        ended = read(table(domain, keytab, names))[1]

    assert f"Cannot contact any KDC for realm '{REALM}'" in ended.reason
    assert "Check krb5.conf, that the domain controllers answer on port 88" in ended.reason


def test_a_controller_that_is_named_by_its_address_is_told(domain: SambaDomain, keytab: Path, names: DnsServer) -> None:
    by_address = table(domain, keytab, names, urls=[domain.url])
    del by_address["domain"], by_address["dns_servers"]

    ended = read(by_address)[1]

    assert f"Kerberos knows no service ldap of {domain.url}" in ended.reason
    assert "Write the controller's own name in urls" in ended.reason


def test_a_clock_that_is_wrong_is_told(domain: SambaDomain, keytab: Path, names: DnsServer) -> None:
    check = (
        "import json, sys\n"
        "from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings\n"
        "settings = ActiveDirectorySettings(**json.loads(sys.argv[1]))\n"
        "print(*(finding.message for finding in ActiveDirectoryConnector(settings).check()))\n"
    )
    done = subprocess.run(
        ["faketime", "-f", "+20m", sys.executable, "-c", check, json.dumps(table(domain, keytab, names))],
        capture_output=True, text=True, check=True, timeout=60, env=os.environ,
    )  # fmt: skip

    assert "The clocks of this machine and the domain controller differ by too much" in done.stdout


def test_what_the_server_says_of_a_ticket_it_refuses_is_told(
    domain: SambaDomain, keytab: Path, names: DnsServer
) -> None:
    refusal = b"80090346: LdapErr: DSID-0C090597, comment: AcceptSecurityContext error, data 80090346, v4563"
    with answering_binds(certificates(), 49, refusal) as port:
        refusing = table(
            domain, keytab, names, urls=[f"ldaps://localhost:{port}"], ca_file=str(certificates().authority)
        )
        del refusing["domain"], refusing["dns_servers"]
        ended = read(refusing)[1]

    assert refusal.decode() in ended.reason
    assert "connect to the domain controller itself" in ended.reason


def test_a_server_that_wants_another_protection_than_tls_is_told(
    domain: SambaDomain, keytab: Path, names: DnsServer
) -> None:
    configuration = domain._configuration.read_text()
    domain.stop()
    domain._configuration.write_text(configuration.replace("= allow_sasl_over_tls", "= yes"))
    domain.start()
    try:
        ended = read(table(domain, keytab, names))[1]
    finally:
        domain.stop()
        domain._configuration.write_text(configuration)
        domain.start()

    assert "strongerAuthRequired" in ended.reason
    assert "ldap server require strong auth = allow_sasl_over_tls" in ended.reason


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"keytab_file": None}, "needs the key of bind_dn in a keytab"),
        ({"keytab_file": "missing.keytab"}, "does not exist; write the account's key into it"),
        ({"bind_dn": ""}, "is a principal"),
        ({"bind_dn": "CORP\\reader"}, "is a principal"),
        ({"bind_dn": f"CN=reader,{NAMING_CONTEXT}"}, "is a principal"),
        ({"bind_password": "secret"}, "remove the password"),
        ({"starttls": False}, "goes over TLS only"),
        ({"logon": "simple", "bind_password": "secret"}, 'keytab_file goes with logon = "kerberos" only'),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        _settings(tmp_path, **changes)


def test_the_ldap_connector_does_not_offer_it(tmp_path: Path) -> None:
    (tmp_path / "keytab").touch()
    with pytest.raises(ValidationError, match="logon"):
        LdapSettings(
            name="tree", connector="ldap", urls=("ldaps://ldap.corp.test",), base_dn=("dc=corp,dc=test",),
            logon="kerberos", bind_dn=f"reader@{REALM}", keytab_file=tmp_path / "keytab",
        )  # type: ignore[arg-type] # fmt: skip


@pytest.mark.parametrize("package", ["gssapi", "cryptography"])
def test_without_the_extra_the_settings_say_what_to_install(
    tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ValidationError, match=r"needs gssapi and cryptography \(.*\); beside the deb install python3-"):
        _settings(tmp_path)


def test_how_the_account_logs_on_is_not_part_of_what_is_read(tmp_path: Path) -> None:
    by_ticket = _settings(tmp_path)
    by_password = _settings(tmp_path, logon="simple", keytab_file=None, bind_password="secret")

    assert (
        ActiveDirectoryConnector(by_ticket).fingerprint(Wanted())
        == ActiveDirectoryConnector(by_password).fingerprint(Wanted())
    )  # fmt: skip


def _settings(place: Path, **changes: object) -> ActiveDirectorySettings:
    (place / "keytab").touch()
    table: dict[str, object] = {
        "name": "corp", "connector": "active-directory", "urls": ["ldaps://dc1.corp.test"],
        "base_dn": NAMING_CONTEXT, "logon": "kerberos", "bind_dn": f"reader@{REALM}", "keytab_file": place / "keytab",
    }  # fmt: skip
    return ActiveDirectorySettings(**table | changes)  # type: ignore[arg-type]
