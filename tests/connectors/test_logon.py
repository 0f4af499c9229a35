"""Logging on to a domain: under which names, and in which words it is told why not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.base import Finding
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain

WRONG = "Wrong-2026-Ibis"
ACCOUNTS = ("reader", "disabled", "changing", "expired", "locked", "old", "night")
IN_2012 = 129_700_000_000_000_000  # in units of 100 ns since 1601


def dn(name: str) -> str:
    return f"CN={name},CN=Users,{NAMING_CONTEXT}"


def replace(entry: str, attribute: str, value: str, separator: str = ":") -> str:
    return f"dn: {entry}\nchangetype: modify\nreplace: {attribute}\n{attribute}{separator} {value}\n\n"


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaDomain]:
    domain = SambaDomain(tmp_path_factory.mktemp("domain") / "dc")
    domain.load(
        "".join(f"dn: {dn(name)}\nobjectClass: user\nsAMAccountName: {name}\n\n" for name in ACCOUNTS),
        passwords=dict.fromkeys(ACCOUNTS, READER_PASSWORD),
    )
    domain.load(replace(dn("old"), "pwdLastSet", str(IN_2012)))
    with domain:
        domain.modify(
            replace(dn("disabled"), "userAccountControl", "514")
            + replace(dn("changing"), "pwdLastSet", "0")
            + replace(dn("expired"), "accountExpires", str(IN_2012))
            + replace(dn("night"), "logonHours", "A" * 28, "::")
            + replace(NAMING_CONTEXT, "lockoutThreshold", "2")
        )
        yield domain


def log_on(domain: SambaDomain, account: str, password: str = READER_PASSWORD) -> Finding:
    settings = ActiveDirectorySettings(**domain.settings(bind_dn=account, bind_password=password))  # type: ignore[arg-type]
    return next(iter(ActiveDirectoryConnector(settings).check()))


@pytest.mark.parametrize("account", ["reader@corp.test", "CORP\\reader", dn("reader")])
def test_an_account_may_be_named_in_three_ways(domain: SambaDomain, account: str) -> None:
    finding = log_on(domain, account)

    assert (finding.ok, finding.message) == (True, f"{domain.url} answers and accepts {account}")


@pytest.mark.parametrize(
    ("account", "password", "told"),
    [
        ("reader", WRONG, "The name or the password is wrong. Check bind_dn"),
        ("nobody", READER_PASSWORD, "The name or the password is wrong. Check bind_dn"),
        ("disabled", READER_PASSWORD, "The account is disabled. Enable it."),
        ("changing", READER_PASSWORD, "The password has to be changed before the next logon. Give the account a new"),
        ("old", READER_PASSWORD, "The password has expired. Give the account a new"),
        ("old", READER_PASSWORD, "or store it with rollcall secret corp.bind_password (and"),
        ("expired", READER_PASSWORD, "The account has expired. Give it a later end."),
        ("night", READER_PASSWORD, "The account may not log on at this time. Take the limits"),
        # Only who knows the password is told more.
        ("disabled", WRONG, "The name or the password is wrong."),
    ],
)
def test_why_an_account_may_not_log_on_is_told_in_words(
    domain: SambaDomain, account: str, password: str, told: str
) -> None:
    finding = log_on(domain, f"{account}@corp.test", password)

    assert not finding.ok
    assert told in finding.message
    assert password not in finding.message


def test_a_locked_account_is_told(domain: SambaDomain) -> None:
    attempts = [log_on(domain, "locked@corp.test", password) for password in (WRONG, WRONG, READER_PASSWORD)]

    assert "The name or the password is wrong." in attempts[0].message
    assert "The account is locked. Unlock it" in attempts[-1].message
