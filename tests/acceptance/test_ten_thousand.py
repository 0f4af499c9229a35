"""From a real OpenLDAP with thousands of people to a real SCIM service."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.population.organisation import Organisation
from tests.servers.openldap import OpenLdap
from tests.servers.scim2_server import Scim2Server


@pytest.mark.parametrize("users", [2_000, pytest.param(10_000, marks=pytest.mark.slow_proof)])
def test_every_member_of_the_scope_stands_upstream_and_a_second_sync_writes_nothing(
    openldap: OpenLdap, real_scim: Scim2Server, agent: Agent, users: int
) -> None:
    organisation = Organisation.build(users=users, groups=users // 50, foreign_share=0.15, seed=20261124)
    expected = {name: members for name, members in organisation.expected_members().items() if name.startswith("app-")}
    everybody = set().union(*expected.values())
    external = {mail for mail in everybody if not mail.endswith("@example.com")}
    openldap.load(organisation.ldif(with_containers=False))
    openldap.start()
    agent.configure(real_scim, openldap.settings())

    first = agent.sync()
    second = agent.sync()
    said = agent.run("sync").out

    assert 0.10 < len(external) / len(everybody) < 0.20  # the expectation itself is about external people, too
    # A few people have no address: each is named, and nobody else is held back by it.
    assert first["exit_code"] == 1
    assert [sentence for sentence in first["sentences"] if "has no e-mail address" not in sentence] == []
    assert real_scim.membership() == expected
    assert {user["userName"] for user in real_scim.users() if user["active"]} == everybody
    assert second["counts"]["writes"] == second["counts"]["requests"] == second["counts"]["planned"] == 0
    assert "nothing to do: the upstream is equal to the directory" in said
