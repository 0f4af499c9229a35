"""The guide's account in a domain: made as it tells for Samba, it does all that is needed, and may do no more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from connectors.active_directory import ActiveDirectorySettings
from connectors.active_directory.session import ActiveDirectorySession
from connectors.ldap.opening import open_as
from tests.acceptance.active_directory_changes import COMPANY, GROUPS, PEOPLE, beginning, record_of_members
from tests.agent_runner import NO_LIMITS, Agent
from tests.guide import block_of, run_as_told
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService

DOCUMENT = "accounts.md"
ORDINARY, HARDENED, WORK = "Active Directory", "Where Authenticated Users may read less", "Two rights that save work"
SECRET = ("unicodePwd", "supplementalCredentials", "ntPwdHistory", "lmPwdHistory", "dBCSPwd")
U_S_N_CHANGED = "bf967a6f-0de6-11d0-a285-00aa003049e2"  # its schemaIDGUID (MS-ADA3)
# As an administrator does who follows the advice not to let everybody read so much.
HARDEN = (
    f"dn: CN=Pre-Windows 2000 Compatible Access,CN=Builtin,{NAMING_CONTEXT}\nchangetype: modify\n"
    f"delete: member\nmember: CN=S-1-5-11,CN=ForeignSecurityPrincipals,{NAMING_CONTEXT}\n\n"
)
LEAVE_BE_DISABLED_AND_BE_DELETED = (
    record_of_members("app-a", "delete", "u1")
    + f"dn: CN=u2,{PEOPLE}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 546\n\n"
    + f"dn: CN=u3,{PEOPLE}\nchangetype: delete\n\n"
)


@pytest.fixture
def domain(tmp_path: Path) -> SambaDomain:
    """Stopped, with the account that the guide makes."""
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning())
    on_samba(domain, tmp_path, ORDINARY, {'--userou="OU=Services"': f'--userou="OU=Services" {READER_PASSWORD}'})
    return domain


def on_samba(domain: SambaDomain, place: Path, heading: str, instead: dict[str, str] | None = None) -> None:
    """Run what the guide tells to run on a controller, on this one: samba-tool is told where it lies."""
    tool = place / "bin" / "samba-tool"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(
        f'#!/bin/sh\nPATH={os.environ["PATH"]}\nexec samba-tool "$@" '
        f"-s {domain.directory}/etc/smb.conf -H {domain.directory}/private/sam.ldb\n"
    )
    tool.chmod(0o755)
    run_as_told(
        block_of(DOCUMENT, heading, "sh"), instead or {}, place, PATH=f"{tool.parent}:{os.environ['PATH']}"
    )  # fmt: skip


def configure(agent: Agent, scim: ScimService, domain: SambaDomain, **changes: str) -> None:
    account = {"bind_dn": "rollcall@corp.test", "bind_password": READER_PASSWORD}
    agent.configure(scim, domain.settings(base_dn=COMPANY, **account, **changes), guard=NO_LIMITS)


def said_by(agent: Agent) -> str:
    return " ".join(agent.run("check").out.split())


def as_account(domain: SambaDomain, program: str, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        [program, "-x", "-H", domain.url, "-D", "rollcall@corp.test", "-w", READER_PASSWORD, *arguments],
        input=given, capture_output=True, text=True, check=False,
        env=os.environ | {"LDAPTLS_CACERT": str(domain.certificates.authority)},
    )  # fmt: skip
    return done.stdout + done.stderr


def assert_it_reads_only(domain: SambaDomain) -> None:
    shown = as_account(domain, "ldapsearch", "-LLL", "-b", COMPANY, "(objectClass=user)", "cn", *SECRET)
    assert f"dn: CN=u0,{PEOPLE}" in shown
    assert [name for name in SECRET if f"\n{name.lower()}:" in shown.lower()] == []
    account = f"CN=rollcall,OU=Services,{NAMING_CONTEXT}"
    for change in (
        f"dn: CN=u0,{PEOPLE}\nchangetype: modify\nreplace: sn\nsn: Other\n",
        f"dn: CN=app-a,{GROUPS}\nchangetype: modify\nadd: member\nmember: {account}\n",
        f"dn: CN=u0,{PEOPLE}\nchangetype: delete\n",
        f"dn: CN=new,{PEOPLE}\nchangetype: add\nobjectClass: user\nsAMAccountName: new\n",
    ):
        assert "nsufficient access" in as_account(domain, "ldapmodify", given=change)


def replicated_of_people(domain: SambaDomain, *wanted: str) -> set[str]:
    """The attribute types that DirSync shows the account."""
    account = {"bind_dn": "rollcall@corp.test", "bind_password": READER_PASSWORD}
    session = open_as(ActiveDirectorySession, ActiveDirectorySettings.model_validate(domain.settings(**account)))
    try:
        part = session.synchronise_part(NAMING_CONTEXT, "(objectClass=user)", wanted, b"", 0)
    finally:
        session.close()
    return {name for found in part.found for name in found.attributes}


def assert_changes_arrive(domain: SambaDomain, agent: Agent, scim: ScimService) -> None:
    """In an increment."""
    agent.sync()
    everybody = {f"u{number}@corp.test" for number in range(15)}
    assert scim.active() == everybody
    domain.modify(LEAVE_BE_DISABLED_AND_BE_DELETED)
    report = agent.sync()

    assert report["exit_code"] == 0
    assert report["sources"][0]["extent"] == "incremental"
    assert scim.active() == everybody - {"u1@corp.test", "u2@corp.test", "u3@corp.test"}
    assert scim.membership()["app-a"] == {f"u{number}@corp.test" for number in (0, 2, *range(4, 10))}


def test_an_ordinary_account_follows_every_change_and_may_do_no_more(
    domain: SambaDomain, agent: Agent, scim: ScimService
) -> None:
    configure(agent, scim, domain)
    with domain:
        told = said_by(agent)
        assert_changes_arrive(domain, agent, scim)
        assert_it_reads_only(domain)

    assert "NOT OK" not in told
    assert "the account may not replicate directory changes" in told
    assert "no deleted entries can be seen" in told


def test_with_the_two_rights_that_save_work_it_sees_no_password_and_may_write_nothing(
    domain: SambaDomain, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    on_samba(domain, tmp_path, WORK)
    # As dsacls does on Windows; samba-tool does not find that container.
    domain.grant(f"CN=Deleted Objects,{NAMING_CONTEXT}", "(A;;LCRP;;;PSID)", to="rollcall")
    configure(agent, scim, domain)
    with domain:
        told = said_by(agent)
        assert_changes_arrive(domain, agent, scim)
        assert_it_reads_only(domain)
        replicated = replicated_of_people(domain, "sn")
        secrets = replicated_of_people(domain, *SECRET)

    assert "NOT OK" not in told
    assert "the account may replicate directory changes (DirSync)" in told
    assert "deleted entries can be seen" in told
    assert "sn" in replicated
    assert [name for name in SECRET if name.lower() in secrets] == []


def test_in_a_hardened_domain_the_guide_s_rights_give_back_who_is_disabled(
    domain: SambaDomain, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    domain.load(HARDEN)
    configure(agent, scim, domain)
    with domain:
        assert "userAccountControl cannot be read" in said_by(agent)
        agent.sync()
        assert scim.active() == set()
    on_samba(domain, tmp_path, HARDENED)
    with domain:
        assert "NOT OK" not in said_by(agent)
        assert_changes_arrive(domain, agent, scim)
        shown = as_account(domain, "ldapsearch", "-LLL", "-b", PEOPLE, "(cn=u5)", "memberOf", "description")
        assert_it_reads_only(domain)

    assert "memberOf: CN=app-a" in shown


def test_no_change_is_missed_where_people_hide_what_tells_of_changes(
    domain: SambaDomain, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    """Samba's DirSync leaves such people out without a word, for an account that may not replicate changes."""
    domain.load(HARDEN)
    on_samba(domain, tmp_path, HARDENED, {U_S_N_CHANGED: ""})
    configure(agent, scim, domain)
    with domain:
        told = said_by(agent)
        agent.sync()
        domain.modify(LEAVE_BE_DISABLED_AND_BE_DELETED)
        agent.sync()

    assert "uSNChanged cannot be read" in told
    assert "u2@corp.test" not in scim.active()
