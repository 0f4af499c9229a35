"""Secrets that lie in the directory beside the configuration file, under the names of systemd's credentials."""

from __future__ import annotations

from pathlib import Path

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.openldap import READER_PASSWORD, OpenLdap
from tests.servers.scim_service import ScimService


class Second(Agent):
    """Another connection, whose configuration lies in the same directory."""

    @property
    def configuration(self) -> Path:
        return self.directory / "second.toml"


def _configured(agent: Agent, scim: ScimService, openldap: OpenLdap, credentials: str) -> Path:
    openldap.load(people(2) + group("app-a", *uids(2)))
    openldap.start()
    source = openldap.settings()
    del source["bind_password"]
    agent.configure(scim, source)
    del agent.sections["upstream"]["token_file"]
    agent.write()
    directory = agent.directory / credentials
    directory.mkdir()
    (directory / "upstream.token").write_text(scim.token)
    (directory / "corp.bind_password").write_text(READER_PASSWORD)
    return directory


def test_secrets_are_found_in_the_directory_beside_the_configuration(
    agent: Agent, scim: ScimService, openldap: OpenLdap
) -> None:
    directory = _configured(agent, scim, openldap, "credentials")

    assert agent.run("sync").code == 0
    assert len(scim.active()) == 2
    (directory / "upstream.token").unlink()
    without = agent.run("sync")
    assert without.code == 2
    assert "no token is set" in without.err
    assert str(directory / "upstream.token") in without.err


def test_what_systemd_hands_over_comes_first(agent: Agent, scim: ScimService, openldap: OpenLdap) -> None:
    directory = _configured(agent, scim, openldap, "credentials")
    (directory / "upstream.token").write_text("an-old-one")
    handed_over = agent.directory / "of-systemd"
    handed_over.mkdir()
    (handed_over / "rollcall_upstream.token").write_text(scim.token)

    assert agent.run("sync").code == 5
    assert agent.run("sync", CREDENTIALS_DIRECTORY=str(handed_over)).code == 0


def test_a_second_configuration_beside_the_first_has_secrets_of_its_own(
    agent: Agent, scim: ScimService, openldap: OpenLdap
) -> None:
    _configured(agent, scim, openldap, "credentials")
    second = Second(agent.directory)
    second.configuration.write_bytes(agent.configuration.read_bytes())

    without = second.run("sync")
    (agent.directory / "credentials").rename(agent.directory / "second.credentials")
    with_its_own = second.run("sync")

    assert without.code == 2
    assert "second.credentials" in without.err
    assert with_its_own.code == 0
