"""What a cycle costs when nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, people, uids
from tests.servers.directory_389 import Directory389
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

LDAP_REQUESTS = 3
SYNCHRONISED = [History.PRESENT, History.SESSION_LOG, History.ACCESS_LOG]


@pytest.fixture(params=[*SYNCHRONISED, "389"], ids=lambda param: getattr(param, "name", param))
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLdap | Directory389]:
    place = tmp_path / "server"
    place.mkdir()
    server: OpenLdap | Directory389
    server = OpenLdap(place, history=request.param) if request.param in SYNCHRONISED else Directory389(place)
    server.load(plain(people(60) + group("app-all", *uids(60))))
    with server:
        yield server


# The second base is not the database's suffix, where OpenLDAP shows its contextCSN.
@pytest.mark.parametrize("bases", [{"base_dn": SUFFIX}, {"base_dn": f"ou=People,{SUFFIX}"}])
def test_a_cycle_with_nothing_to_do_makes_three_requests_and_sends_nothing(
    directory: OpenLdap | Directory389, scim: ScimService, agent: Agent, bases: dict[str, object]
) -> None:
    with LdapFaultProxy(directory.port) as proxy:
        agent.configure(scim, directory.settings(urls=[proxy.url], starttls=False, page_size=10, **bases))
        agent.sync()
        sent, proxy.requests = len(scim.requests), 0

        report = agent.sync()

    assert report["sources"][0]["extent"] == "incremental"
    assert proxy.requests <= LDAP_REQUESTS
    assert len(scim.requests) == sent
