"""`rollcall init` on a terminal, against OpenLDAP and a SCIM service: good and bad answers."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import stat
from pathlib import Path

import pytest

from tests.acceptance.terminal_session import TerminalSession
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, person_dn, uids
from tests.servers.certificates import certificates
from tests.servers.openldap import READER_DN, READER_PASSWORD, SUFFIX, OpenLdap
from tests.servers.ports import free_port
from tests.servers.scim_service import ScimService

WRONG_PASSWORD, WRONG_TOKEN = "wr0ng-Heron-1", "wr0ng-Merlin-2"
ADDRESS, AUTHORITY, ACCOUNT = "The server (", "File of that authority", "The account that reads"
PASSWORD, BASE, GROUPS = "Its password", "Where people and groups are", "Which ones?"
DOMAINS, PROFILE, SCIM, TOKEN = "organisation's own?", "Whose service", "Its SCIM address", "Its token"


@pytest.fixture
def directory(openldap: OpenLdap) -> OpenLdap:
    guest = person("guest", mail="guest@partner.test")
    groups = group("app-jira", *uids(3), person_dn("guest")) + group("app-wiki", *uids(2)) + group("staff", *uids(5))
    openldap.load(people(5) + guest + groups)
    openldap.start()
    return openldap


def init(agent: Agent) -> TerminalSession:
    return TerminalSession("init", "--config", str(agent.configuration))


def up_to_the_groups(session: TerminalSession, directory: OpenLdap, authority: str = "") -> None:
    session.answer("kind of directory", "")
    session.answer("short name", "")
    session.answer(ADDRESS, directory.url)
    session.answer(AUTHORITY, authority or str(directory.certificates.authority))
    session.answer(ACCOUNT, READER_DN)
    session.answer(PASSWORD, READER_PASSWORD)
    session.answer(BASE, "")


def from_the_groups(session: TerminalSession, scim: ScimService, groups: str) -> None:
    session.answer(GROUPS, groups)
    session.answer(DOMAINS, "")
    session.answer(PROFILE, "")
    session.answer(SCIM, scim.url)
    session.answer(TOKEN, scim.token)
    session.answer("How often?", "")
    session.answer("Write this?", "")


def test_the_secrets_of_a_former_time_are_no_answers(agent: Agent, directory: OpenLdap, scim: ScimService) -> None:
    former = agent.configuration.parent / "credentials"
    former.mkdir()
    (former / "corp.bind_password").write_text("of a former time")
    (former / "upstream.token").write_text("of a former time")
    with init(agent) as session:
        up_to_the_groups(session, directory)
        from_the_groups(session, scim, "1")
        assert session.end() == 0

    assert agent.sync()["exit_code"] == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_good_answers_end_with_a_configuration_that_works(agent: Agent, directory: OpenLdap, scim: ScimService) -> None:
    with init(agent) as session:
        up_to_the_groups(session, directory)
        listed = session.answer(GROUPS, "1, staff")
        domains = session.answer(DOMAINS, "")
        session.answer(PROFILE, "")
        session.answer(SCIM, scim.url)
        session.answer(TOKEN, scim.token)
        session.answer("How often?", "")
        session.answer("Write this?", "")
        assert session.end() == 0

    assert [name for name in ("app-jira", "app-wiki", "staff") if name not in listed] == []
    assert "1  example.com, 5 people" in domains
    assert "2  partner.test, 1 person" in domains
    assert "NOT OK" not in session.said
    assert "create user" in session.said
    assert scim.writes() == []
    assert mode(agent.configuration) == 0o640
    secrets = [agent.directory / name for name in ("corp.bind_password", "upstream.token")]
    assert [mode(path) for path in secrets] == [0o600, 0o600]
    for secret in (READER_PASSWORD, scim.token):
        assert secret not in session.said
        assert secret not in agent.configuration.read_text()
    assert agent.run("sync").code == 0
    assert set(scim.membership()) == {"app-jira", "staff"}
    assert len(scim.active()) == 6
    assert not list(agent.directory.glob(".*"))


def is_told_of_the_password(told: str) -> bool:
    """And not how one is stored: it is asked for just now."""
    return "refuses the name or password" in told and "rollcall secret" not in told


def test_every_wrong_answer_is_told_and_asked_again(agent: Agent, directory: OpenLdap, scim: ScimService) -> None:
    other = certificates("IP:127.0.0.1", "other").authority
    with init(agent) as session:
        session.answer("kind of directory", "novell")
        assert "none of them" in session.answer("kind of directory", "1")
        session.answer("short name", "My Corp")
        session.answer("short name", "")
        session.answer(ADDRESS, f"ldaps://127.0.0.1:{free_port()}")
        assert "cannot be reached" in session.answer(ADDRESS, directory.url)
        untrusted = session.answer(AUTHORITY, str(agent.directory / "missing.pem"))
        assert "could not be verified" in untrusted
        shown = ssl.PEM_cert_to_DER_cert(directory.certificates.certificate.read_text())
        assert (
            hashlib.sha256(shown).hexdigest()
            == untrusted.partition("fingerprint\n")[2].split()[0].replace(":", "").lower()
        )
        assert "does not exist" in session.answer(AUTHORITY, str(other))
        assert "could not be verified" in session.answer(AUTHORITY, str(directory.certificates.authority))
        session.answer(ACCOUNT, READER_DN)
        session.answer(PASSWORD, WRONG_PASSWORD)
        assert is_told_of_the_password(session.answer(f"[{READER_DN}]", ""))
        session.answer(PASSWORD, "")
        assert "password is empty" in session.answer(ACCOUNT, "")
        session.answer(PASSWORD, READER_PASSWORD)
        session.answer(BASE, "ou=Nowhere," + SUFFIX)
        assert "there is no ou=Nowhere" in session.answer("all the same?", "")
        session.answer(BASE, "nonsense")
        assert "write a DN" in session.answer(BASE, "1")
        session.answer(GROUPS, "")
        assert "An answer is needed" in session.answer("Which ones?", "nobody-*")
        assert "no pattern" in session.answer(GROUPS, "9")
        assert "no group of that number" in session.answer(GROUPS, "/wiki")
        narrowed = session.answer(GROUPS, "1")
        assert "app-wiki" in narrowed
        assert "app-jira" not in narrowed
        assert "no group of that number" in session.answer(GROUPS, "app-*")
        session.answer(DOMAINS, "@example.com")
        assert "is not a domain" in session.answer(DOMAINS, "1")
        session.answer(PROFILE, "generic")
        session.answer(SCIM, "http://scim.example.com")
        assert "unencrypted" in session.answer(SCIM, f"http://127.0.0.1:{free_port()}")
        session.answer(SCIM, scim.url)
        session.answer(TOKEN, WRONG_TOKEN)
        assert "refuses the token" in session.answer(TOKEN, scim.token)
        session.answer("How often?", "sometimes")
        assert "whole number" in session.answer("How often?", "10m")
        assert not agent.configuration.exists()
        session.answer("Write this?", "y")
        assert session.end() == 0

    text = agent.configuration.read_text()
    assert 'groups = ["name:app-*"]' in text
    assert 'every = "10m"' in text
    assert f'ca_file = "{directory.certificates.authority}"' in text
    for secret in (READER_PASSWORD, WRONG_PASSWORD, scim.token, WRONG_TOKEN):
        assert secret not in session.said + text


def test_a_base_without_groups_is_asked_for_again(agent: Agent, directory: OpenLdap, scim: ScimService) -> None:
    with init(agent) as session:
        session.answer("kind of directory", "")
        session.answer("short name", "")
        session.answer(ADDRESS, directory.url)
        session.answer(AUTHORITY, str(directory.certificates.authority))
        session.answer(ACCOUNT, READER_DN)
        session.answer(PASSWORD, READER_PASSWORD)
        session.answer(BASE, "ou=People," + SUFFIX)
        assert "no group answers" in session.answer("all the same?", "y")
        assert "No group was found" in session.answer(BASE, SUFFIX)
        from_the_groups(session, scim, "staff")
        assert session.end() == 0

    assert f'base_dn = "{SUFFIX}"' in agent.configuration.read_text()


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_who_ends_it_leaves_nothing_behind(agent: Agent, directory: OpenLdap, scim: ScimService, key: str) -> None:
    before = set(agent.directory.iterdir())
    with init(agent) as session:
        up_to_the_groups(session, directory)
        session.answer(GROUPS, "app-*")
        session.answer(DOMAINS, "")
        session.answer(PROFILE, "")
        session.answer(SCIM, scim.url)
        session.expect(TOKEN)
        session.type(key)
        assert session.end() == 2

    assert "nothing was written" in session.said
    assert "Traceback" not in session.said
    assert set(agent.directory.iterdir()) == before


def test_a_configuration_that_is_there_is_replaced_only_on_request(
    agent: Agent, directory: OpenLdap, scim: ScimService
) -> None:
    agent.configuration.write_text("# mine\n")
    with init(agent) as session:
        session.answer("Replace it", "")
        assert session.end() == 2
    assert agent.configuration.read_text() == "# mine\n"

    with init(agent) as session:
        session.answer("Replace it", "y")
        up_to_the_groups(session, directory)
        from_the_groups(session, scim, "app-*")
        assert session.end() == 0
    assert "# mine" not in agent.configuration.read_text()


def test_a_bare_host_is_tried_encrypted_from_the_first_byte_and_then_by_starttls(
    agent: Agent, directory: OpenLdap, scim: ScimService
) -> None:
    shutil.copy(directory.certificates.authority, agent.directory / "ca.pem")
    with init(agent) as session:
        session.answer("kind of directory", "")
        session.answer("short name", "")
        session.answer(ADDRESS, f"127.0.0.1:{directory.port}")
        assert "fingerprint" in session.answer(AUTHORITY, "ca.pem")
        session.answer(ACCOUNT, READER_DN)
        session.answer(PASSWORD, READER_PASSWORD)
        session.answer(BASE, "")
        from_the_groups(session, scim, "staff")
        assert session.end() == 0

    assert f'urls = ["{directory.starttls_url}"]' in agent.configuration.read_text()


def test_without_a_terminal_it_says_so(agent: Agent) -> None:
    done = agent.run("init")

    assert done.code == 2
    assert "run it in a terminal, or write the file by hand: see agent.example.toml" in done.err
