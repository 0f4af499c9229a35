"""The guide's accounts in LDAP directories: made as it tells, each does all that is needed, and may do no more."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_runner import NO_LIMITS, Agent
from tests.connectors.conftest import plain
from tests.guide import block_of, run_as_told
from tests.ldif_text import SUFFIX, group, group_dn, people, person_dn, uids
from tests.servers import directory_389, openldap
from tests.servers.directory_389 import Directory389
from tests.servers.openldap import READER_PASSWORD, History, OpenLdap
from tests.servers.scim_service import ScimService

DOCUMENT = "accounts.md"
ACCOUNT = f"cn=rollcall,ou=Services,{SUFFIX}"
MORE_THAN_A_SERVER_ALLOWS = 600  # OpenLDAP's own limit of one answer is 500 entries
STRICT = "access to attrs=userPassword by anonymous auth by * none\naccess to * by * none"
INACTIVE = {"inactive_when": ["employeeType=left"]}


def said_by(agent: Agent) -> str:
    return agent.run("check").out.replace("\n", " ")


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[OpenLdap]:
    """As strict as can be, and with the limits that it comes with."""
    (tmp_path / "slapd").mkdir()
    server = OpenLdap(tmp_path / "slapd", limits="", access=STRICT, history=History.SESSION_LOG, online=True)
    server.load(plain(people(MORE_THAN_A_SERVER_ALLOWS) + group("app-a", *uids(20)) + group("app-b", *uids(30))))
    with server:
        yield server


def rights(without: str = "") -> str:
    ldif = block_of(DOCUMENT, "OpenLDAP", "ldif", "rollcall-rights.ldif").replace("memberUid", "memberUid,employeeType")
    if without == "olcLimits":
        return ldif.partition("-\nadd: olcLimits")[0]
    for name in without.split():
        ldif, removed = re.subn(rf"\b{name},", "", ldif)
        assert removed == 1
    return ldif


def give_account(server: OpenLdap, place: Path, ldif: str) -> None:
    account = block_of(DOCUMENT, "OpenLDAP", "ldif", "rollcall-account.ldif")
    commands = block_of(DOCUMENT, "OpenLDAP", "sh")
    path = {"PATH": os.environ["PATH"] + ":/usr/sbin"}
    hashed = run_as_told(commands.splitlines()[0], {"slappasswd": f"slappasswd -s {READER_PASSWORD}"}, place, **path)
    (place / "rollcall-account.ldif").write_text(account.replace("WHAT-SLAPPASSWD-PRINTS", hashed.strip()))
    (place / "rollcall-rights.ldif").write_text(ldif)
    instead = {"-W": f"-w {openldap.ADMIN_PASSWORD}", "ldapi:///": server.local_url}
    run_as_told(commands.partition("\n")[2], instead, place, **path)


def change_rights(server: OpenLdap, place: Path, what: str) -> None:
    """Take something away again, in the way it was given."""
    (place / "rollcall-rights.ldif").write_text(
        "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\n"
        f'olcAccess: {{0}}{what} by dn.exact="{ACCOUNT}" none by * break\n'
    )
    (told,) = [line for line in block_of(DOCUMENT, "OpenLDAP", "sh").splitlines() if line.startswith("ldapmodify")]
    run_as_told(told, {"ldapi:///": server.local_url}, place)


def settings_of(server: OpenLdap | Directory389, **changes: object) -> dict[str, object]:
    return server.settings(bind_dn=ACCOUNT, bind_password=READER_PASSWORD, **changes)


def as_account(server: OpenLdap | Directory389, program: str, *arguments: str, given: str = "") -> str:
    """What a program of ldap-utils says when it logs on with the account."""
    done = subprocess.run(
        [program, "-x", "-H", server.starttls_url, "-D", ACCOUNT, "-w", READER_PASSWORD, *arguments],
        input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def assert_it_reads_only(server: OpenLdap | Directory389) -> None:
    shown = as_account(server, "ldapsearch", "-LLL", "-b", SUFFIX, "(objectClass=*)", "userPassword", "description")
    assert f"dn: {person_dn('u0')}" in shown
    assert [line for line in shown.splitlines() if line.lower().startswith(("userpassword", "description"))] == []
    for change in (
        f"dn: {person_dn('u0')}\nchangetype: modify\nreplace: sn\nsn: Other\n",
        f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: {ACCOUNT}\n",
        f"dn: {person_dn('u0')}\nchangetype: delete\n",
        f"dn: uid=new,ou=People,{SUFFIX}\nchangetype: add\nobjectClass: account\nuid: new\n",
        f"dn: {ACCOUNT}\nchangetype: modify\nreplace: description\ndescription: x\n",
    ):
        assert "Insufficient access" in as_account(server, "ldapmodify", given=change)


def leave_be_disabled_and_be_deleted(server: OpenLdap | Directory389) -> None:
    """u1 leaves app-a, u2 is marked as having left, u3 is deleted."""
    server.modify(
        f"dn: {group_dn('app-a')}\nchangetype: modify\ndelete: member\nmember: {person_dn('u1')}\n\n"
        f"dn: {person_dn('u2')}\nchangetype: modify\nreplace: employeeType\nemployeeType: left\n\n"
        f"dn: {person_dn('u3')}\nchangetype: delete\n"
    )


def assert_all_followed(scim: ScimService, report: dict[str, object]) -> None:
    assert report["exit_code"] == 0
    assert scim.membership()["app-a"] == mails(*uids(20)) - mails("u1", "u3")
    assert scim.active() == mails(*uids(30)) - mails("u2", "u3")


def test_the_openldap_account_follows_every_change_and_may_do_no_more(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    give_account(slapd, tmp_path, rights())
    agent.configure(scim, settings_of(slapd, **INACTIVE), guard=NO_LIMITS)

    assert "NOT OK" not in said_by(agent)
    assert "changes are found by syncrepl, OpenLDAP" in said_by(agent)
    agent.sync()
    assert scim.active() == mails(*uids(30))
    leave_be_disabled_and_be_deleted(slapd)
    report = agent.sync()

    assert report["sources"][0]["extent"] == "incremental"
    assert_all_followed(scim, report)
    assert_it_reads_only(slapd)


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("objectClass", "NOT OK source corp: there is no dc=example,dc=com, or the account may not see it"),
        ("entryUUID", "has no entryUUID"),
        ("member uniqueMember memberUid", "NOT OK source corp: no group below dc=example,dc=com shows a member"),
        ("cn", 'no group answers to "name:app-*"'),
        ("mail", "has no e-mail address"),
        ("entryCSN", "changes are found by timestamps"),
        ("entryCSN modifyTimestamp", "every read is full"),
        ("olcLimits", "ended with sizeLimitExceeded (4)"),
    ],
)
def test_what_the_openldap_account_may_not_read_is_told_by_check(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService, without: str, told: str
) -> None:
    give_account(slapd, tmp_path, rights(without))
    agent.configure(scim, settings_of(slapd, **INACTIVE), guard=NO_LIMITS)

    assert told in " ".join(said_by(agent).split())


@pytest.mark.parametrize(
    ("without", "extent"),
    [("contextCSN", "incremental"), ("modifyTimestamp", "incremental"), ("entryCSN", "incremental"),
     ("entryCSN modifyTimestamp", "full")],
)  # fmt: skip
def test_no_change_is_missed_where_the_openldap_account_cannot_see_how_it_is_marked(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService, without: str, extent: str
) -> None:
    give_account(slapd, tmp_path, rights(without))
    agent.configure(scim, settings_of(slapd, **INACTIVE), guard=NO_LIMITS)
    agent.sync()

    leave_be_disabled_and_be_deleted(slapd)
    report = agent.sync()

    assert report["sources"][0]["extent"] == extent
    assert_all_followed(scim, report)


def test_the_openldap_account_that_cannot_read_who_is_disabled_leaves_them_active_and_check_has_a_line_of_it(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    give_account(slapd, tmp_path, rights().replace(",employeeType", ""))
    agent.configure(scim, settings_of(slapd, **INACTIVE), guard=NO_LIMITS)
    agent.sync()
    leave_be_disabled_and_be_deleted(slapd)

    assert agent.sync()["exit_code"] == 0
    assert "NOT OK" not in said_by(agent)
    assert "nobody shows employeeType (inactive_when)" in " ".join(said_by(agent).split())
    assert "u2@example.com" in scim.active()


def test_no_change_is_missed_when_the_openldap_account_loses_the_sight_of_how_it_is_marked(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    give_account(slapd, tmp_path, rights())
    agent.configure(scim, settings_of(slapd, **INACTIVE), guard=NO_LIMITS)
    agent.sync()
    change_rights(slapd, tmp_path, "to attrs=entryCSN")

    leave_be_disabled_and_be_deleted(slapd)
    report = agent.sync()

    assert "may not read entryCSN" in report["sources"][0]["note"]
    assert_all_followed(scim, report)


def test_a_base_that_the_openldap_account_cannot_see_any_more_takes_nobody_out(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    """The server says success, and shows nothing."""
    give_account(slapd, tmp_path, rights())
    slapd.modify(
        f"dn: ou=Partners,{SUFFIX}\nchangetype: add\nobjectClass: organizationalUnit\nou: Partners\n\n"
        f"dn: uid=p,ou=Partners,{SUFFIX}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: p\ncn: P\nsn: P\n"
        f"mail: p@example.com\n\n"
        f"dn: {group_dn('app-a')}\nchangetype: modify\nadd: member\nmember: uid=p,ou=Partners,{SUFFIX}\n"
    )
    bases = {"user_base_dn": [f"ou=People,{SUFFIX}", f"ou=Partners,{SUFFIX}"], "group_base_dn": f"ou=Groups,{SUFFIX}"}
    agent.configure(scim, settings_of(slapd, **bases), guard=NO_LIMITS)
    assert agent.sync()["exit_code"] == 0
    assert "p@example.com" in scim.active()
    change_rights(slapd, tmp_path, f'to dn.subtree="ou=Partners,{SUFFIX}" attrs=objectClass')

    report = agent.sync("--full")

    assert report["exit_code"] == 4
    assert f"ou=Partners,{SUFFIX}" in report["sources"][0]["reason"]
    assert "p@example.com" in scim.active()
    assert "p@example.com" in scim.membership()["app-a"]


def test_the_389_account_follows_every_change_and_may_do_no_more(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    (tmp_path / "389").mkdir()
    server = Directory389(tmp_path / "389")
    server.load(plain(people(30) + group("app-a", *uids(20)) + group("app-b", *uids(30))))
    ldif = block_of(DOCUMENT, "389 Directory Server", "ldif").replace("mail ||", "mail || employeeType ||")
    with server:
        (tmp_path / "rollcall.ldif").write_text(ldif.replace("THE-PASSWORD", READER_PASSWORD))
        instead = {"ldap://ldap1.example.com": server.starttls_url, "-W": f"-w {directory_389.ADMIN_PASSWORD}"}
        told = block_of(DOCUMENT, "389 Directory Server", "sh")
        run_as_told(told, instead, tmp_path, LDAPTLS_CACERT=str(server.certificates.authority), **os.environ)
        agent.configure(scim, settings_of(server, **INACTIVE), guard=NO_LIMITS)

        assert "NOT OK" not in said_by(agent)
        assert "changes are found by syncrepl, 389 Directory Server" in said_by(agent)
        agent.sync()
        leave_be_disabled_and_be_deleted(server)
        report = agent.sync()

        assert_all_followed(scim, report)
        assert_it_reads_only(server)
