"""What a cycle costs when nothing changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from agent.connection import connect
from agent.cycle import run_cycle
from agent.state.database import open_state
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


# Tables with a row for everybody; the others hold the groups that are selected, or what is still to be done.
LARGE = {"entry", "name", "membership", "desired_user", "desired_member", "ledger_user", "ledger_member"}
LARGE |= {"person_key", "same_person"}


@pytest.mark.parametrize(("external_users", "by"), [("ordinary", []), ("locked", ["{mail}", "{uid}"])])
def test_a_cycle_with_nothing_to_do_looks_through_no_large_table(
    tmp_path: Path, scim: ScimService, agent: Agent, external_users: str, by: list[str]
) -> None:
    place = tmp_path / "server"
    place.mkdir()
    server = OpenLdap(place, history=History.SESSION_LOG)
    server.load(plain(people(60) + group("app-all", *uids(60), "nobody", "cn=ann,dc=emea,dc=example")))
    rules = {"policy": "review", "changed_address": "replace", "managed_domains": ["elsewhere.example"]}
    agent.configure(
        scim, server.settings(), upstream={"external_users": external_users}, external=rules, same_person={"by": by}
    )
    with server:
        connection, state = connect(agent.configuration), open_state(agent.state)
        run_cycle(connection, state)
        run_cycle(connection, state)  # it finds that this connection lets no external user in, which is new
        asked: dict[str, object] = {}
        with state.read() as reader:
            engine = reader.engine

        def note(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
            asked[statement] = parameters

        event.listen(engine, "before_cursor_execute", note)
        report = run_cycle(connection, state)
        event.remove(engine, "before_cursor_execute", note)
        with engine.connect() as raw:
            plans = {
                statement: [str(row[3]) for row in raw.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                for statement, parameters in asked.items()
                if not isinstance(parameters, list) and not statement.startswith("PRAGMA")
            }
        state.close()

    assert report.sources[0]["extent"] == "incremental"
    assert len(report.notices) == 3
    assert any("FROM ledger_member" in statement for statement in plans)
    scans = [(step, statement) for statement, plan in plans.items() for step in plan if _scanned(step) in LARGE]
    assert scans == []


def _scanned(step: str) -> str:
    """The table that a step of SQLite's plan looks through. An index on a few rows of it does not count."""
    few = "ix_(desired_user_(problem|held_back)|same_person_problem|ledger_user_(protected|guarded|unlinked))"
    found = re.match(rf"SCAN (\w+)(?! USING (COVERING )?INDEX ({few}))\b", step)
    return found.group(1) if found else ""
