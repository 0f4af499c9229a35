"""What `rollcall check` says of a domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.active_directory import ActiveDirectoryConnector, ActiveDirectorySettings
from connectors.base import Finding
from tests.acceptance.active_directory_changes import COMPANY, beginning
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scripted_active_directory import DIRSYNC, ScriptedActiveDirectory
from tests.servers.scripted_ldap import Message, Search, done

READER = f"dn: CN=reader,CN=Users,{NAMING_CONTEXT}\nobjectClass: user\nsAMAccountName: reader\n\n"


@pytest.fixture
def domain(tmp_path: Path) -> SambaDomain:
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + READER, passwords={"reader": READER_PASSWORD})
    return domain


def check(domain: SambaDomain, **changes: object) -> list[Finding]:
    settings = ActiveDirectorySettings.model_validate(domain.settings(base_dn=COMPANY, **changes))
    return list(ActiveDirectoryConnector(settings).check())


def said(findings: list[Finding]) -> str:
    return "\n".join(finding.message for finding in findings)


def test_an_ordinary_account_can_do_everything_that_is_needed(domain: SambaDomain) -> None:
    with domain:
        findings = check(domain, bind_dn="reader@corp.test", bind_password=READER_PASSWORD)

    assert [finding for finding in findings if not finding.ok] == []
    assert f"it is a domain controller of {NAMING_CONTEXT}" in said(findings)
    assert "s apart" in said(findings)
    assert "people can be read, with the state of their account and their primary group" in said(findings)
    assert "groups and their members can be read" in said(findings)
    assert "the account may not replicate directory changes" in said(findings)
    assert "no deleted entries can be seen" in said(findings)
    assert "in none of the groups that administer the domain" in said(findings)


def test_an_administrator_is_told_to_take_a_lesser_account(domain: SambaDomain) -> None:
    with domain:
        findings = check(domain)

    assert [finding for finding in findings if not finding.ok] == []
    assert "the account may replicate directory changes (DirSync)" in said(findings)
    assert "deleted entries can be seen" in said(findings)
    told = next(finding for finding in findings if "far more than read" in finding.message)
    assert "Administrators, Domain Admins, Enterprise Admins, Schema Admins" in told.message
    assert told.remedy == "Use an account of its own that is in Domain Users only."


def test_what_cannot_be_read_is_named_with_a_remedy(domain: SambaDomain) -> None:
    # Deny reading primaryGroupID, and member, by their schemaIDGUID (MS-ADA3).
    domain.grant(f"CN=u3,OU=People,{COMPANY}", "(OD;;RP;bf967a00-0de6-11d0-a285-00aa003049e2;;PSID)")
    for group in ("app-a", "app-b", "team-x", "app-primary"):
        domain.grant(f"CN={group},OU=Groups,{COMPANY}", "(OD;;RP;bf9679c0-0de6-11d0-a285-00aa003049e2;;PSID)")
    with domain:
        findings = check(domain, bind_dn="reader@corp.test", bind_password=READER_PASSWORD)

    troubles = [finding for finding in findings if not finding.ok]
    assert [trouble.message for trouble in troubles] == [
        f"primaryGroupID cannot be read, of CN=u3,OU=People,{COMPANY} for one",
        f"no group below {COMPANY} shows a member",
    ]
    assert all("Give the account the right" in t.remedy or "give the account the right" in t.remedy for t in troubles)


def test_a_missing_base_and_a_filter_that_finds_nobody_are_named(domain: SambaDomain) -> None:
    with domain:
        nowhere = check(domain, user_base_dn=f"OU=Nowhere,{COMPANY}")
        nobody = check(domain, user_filter="(sAMAccountName=nobody)")

    assert [finding.message for finding in nowhere if not finding.ok] == [
        f"there is no OU=Nowhere,{COMPANY}, or the account may not see it"
    ]
    assert [finding.remedy for finding in nobody if not finding.ok] == [
        "Correct user_filter or base_dn, or give the account the right to read them."
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [("usn", "changes are found by uSNChanged, as changes asks"), ("full", "every read is full, as changes asks")],
)
def test_what_is_not_used_is_not_told_of(changes: str, told: str) -> None:
    with ScriptedActiveDirectory() as directory:
        findings = check_scripted(directory, changes=changes)
        searches = list(directory.searches)

    assert told in said(findings)
    assert "replicate" not in said(findings)
    assert "DirSync" not in said(findings)
    assert [search for search in searches if DIRSYNC in search.controls] == []
    # A full read proves by itself who is gone.
    assert ("deleted entries can be seen" in said(findings)) is (changes == "usn")


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        ("auto", 53, "changes are found by uSNChanged"),
        ("auto", 50, "changes are found by uSNChanged"),
        ("dirsync", 53, "so every read is full"),
        ("dirsync", 50, "so every read is full"),
    ],
)
def test_what_takes_the_place_of_a_dirsync_that_does_not_work_is_told(changes: str, code: int, told: str) -> None:
    def script(search: Search, honest: list[Message]) -> list[Message]:
        return [done(code)] if DIRSYNC in search.controls else honest

    with ScriptedActiveDirectory() as directory:
        directory.script = script
        findings = check_scripted(directory, changes=changes)

    (finding,) = [finding for finding in findings if "DirSync does not work here" in finding.message]
    assert told in finding.message
    assert ("deleted entries can be seen" in said(findings)) is (changes == "auto")
    assert finding.ok
    assert ('changes = "auto"' in finding.remedy) is (changes == "dirsync")


def check_scripted(directory: ScriptedActiveDirectory, **changes: object) -> list[Finding]:
    settings = ActiveDirectorySettings.model_validate(directory.settings(**changes))
    return list(ActiveDirectoryConnector(settings).check())
