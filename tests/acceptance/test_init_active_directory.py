"""`rollcall init` on a terminal, against a domain controller."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.terminal_session import TerminalSession
from tests.acceptance.test_active_directory import READER
from tests.agent_runner import Agent
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService

COMPANY = f"OU=Company,{NAMING_CONTEXT}"
CONTENT = f"""dn: {COMPANY}
objectClass: organizationalUnit

dn: CN=Ann,{COMPANY}
objectClass: user
sAMAccountName: ann
mail: ann@corp.test
userAccountControl: 544

dn: CN=Bob,{COMPANY}
objectClass: contact
mail: bob@partner.test

dn: CN=app-jira,{COMPANY}
objectClass: group
sAMAccountName: app-jira
member: CN=Ann,{COMPANY}
member: CN=Bob,{COMPANY}

"""


def test_a_domain_is_set_up_with_bad_answers_on_the_way(tmp_path: Path, agent: Agent, scim: ScimService) -> None:
    domain = SambaDomain(tmp_path / "dc")
    domain.load(CONTENT + READER, passwords={"reader": READER_PASSWORD})
    with domain, TerminalSession("init", "--config", str(agent.configuration)) as session:
        session.answer("kind of directory", "active-directory")
        session.answer("short name", "")
        session.answer("The domain (", "domain.invalid")
        assert "domain.invalid" in session.answer("The domain (", f"ldaps://{domain.address}")
        assert "fingerprint" in session.answer("File of that authority", str(domain.certificates.authority))
        session.answer("The account that reads", "reader@corp.test")
        session.answer("Its password", "wr0ng-Heron-1")
        assert "The name or the password is wrong" in session.answer("The account that reads", "")
        session.answer("Its password", READER_PASSWORD)
        assert NAMING_CONTEXT in session.answer("Where people and groups are", f"OU=Elsewhere,{NAMING_CONTEXT}")
        assert "there is no OU=Elsewhere" in session.answer("all the same?", "n")
        session.answer("Where people and groups are", COMPANY)
        listed = session.answer("Which ones?", "1")
        domains = session.answer("organisation's own?", "")
        session.answer("Whose service", "")
        session.answer("Its SCIM address", scim.url)
        session.answer("Its token", scim.token)
        session.answer("How often?", "")
        session.answer("Write this?", "")
        assert session.end() == 0
        assert agent.run("sync").code == 0

    assert "app-jira" in listed
    assert "Domain Users" not in listed
    assert "corp.test, 1 person" in domains
    assert scim.membership() == {"app-jira": {"ann@corp.test", "bob@partner.test"}}
    text = agent.configuration.read_text()
    assert f'base_dn = "{COMPANY}"' in text
    assert 'managed_domains = ["corp.test"]' in text
    for secret in (READER_PASSWORD, "wr0ng-Heron-1", scim.token):
        assert secret not in session.said + text
