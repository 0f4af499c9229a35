"""Members from another domain, whom a group lists by a foreign security principal with the SID from there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.active_directory_changes import (
    COMPANY,
    beginning,
    record_of_foreign_member,
)
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.samba import NAMING_CONTEXT, SambaDomain
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import PEOPLE, ScriptedActiveDirectory, sid_of

GUEST, ADDRESS = "u3", "u3@example.com"
PRINCIPAL = f"CN={sid_of(GUEST)},CN=ForeignSecurityPrincipals,{NAMING_CONTEXT}"
DELETED = f"dn: {PRINCIPAL}\nchangetype: delete\n\n"


@dataclass
class TwoDomains:
    """A group of one domain lists somebody of the other."""

    agent: Agent
    domain: SambaDomain
    other: ScriptedActiveDirectory
    scim: ScimService

    def is_member(self) -> bool:
        return ADDRESS in self.scim.membership()["app-a"]

    def sync(self) -> str:
        report = self.agent.sync()
        assert report["exit_code"] == 0
        return str(report["sources"][0]["extent"])


@pytest.fixture(params=["dirsync", "usn"])
def domains(request: pytest.FixtureRequest, tmp_path: Path, scim: ScimService, agent: Agent) -> Iterator[TwoDomains]:
    domain, other = SambaDomain(tmp_path / "dc"), ScriptedActiveDirectory(5)
    domain.load(beginning())
    with domain, other:
        domain.modify(record_of_foreign_member("app-a", "add", sid_of(GUEST)))
        agent.configure(scim, domain.settings(base_dn=COMPANY, changes=request.param), guard=NO_LIMITS)
        agent.sources.append(other.settings(name="partners", base_dn=[PEOPLE]))
        agent.write()
        domains = TwoDomains(agent, domain, other, scim)
        assert domains.sync() == "full"
        assert domains.is_member()
        yield domains


def test_somebody_of_another_domain_comes_and_goes(domains: TwoDomains) -> None:
    domains.domain.modify(record_of_foreign_member("app-a", "delete", sid_of(GUEST)))

    assert domains.sync() == "incremental"
    assert not domains.is_member()


def test_a_foreign_principal_that_is_deleted_is_in_no_group_any_more(domains: TwoDomains) -> None:
    domains.domain.modify(DELETED)

    assert domains.sync() == "incremental"
    assert not domains.is_member()


def test_a_foreign_principal_that_was_deleted_and_made_again_is_in_the_groups_that_list_it_now(
    domains: TwoDomains,
) -> None:
    domains.domain.modify(DELETED + record_of_foreign_member("app-b", "add", sid_of(GUEST)))

    assert domains.sync() == "full"
    assert not domains.is_member()
    assert ADDRESS in domains.scim.membership()["app-b"]
