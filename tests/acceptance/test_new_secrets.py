"""A token or a password that is not valid any more: how a new one is put in place, with settings of init, too."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.openldap import OpenLdap
from tests.servers.ports import free_port
from tests.servers.scim_service import ScimService


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.ldif.write_text(people(2) + group("app-a", *uids(2)))
    agent.configure(scim)
    return agent


@pytest.mark.parametrize("command", ["check", "sync"])
def test_a_refused_token_is_replaced_by_a_command_for_this_connection(ready: Agent, command: str) -> None:
    (ready.directory / "scim.token").write_text("an-old-one")

    done = ready.run(command)

    assert done.code == 5
    assert f"rollcall secret upstream.token --config {ready.configuration}" in done.out


def test_a_token_that_expires_is_replaced_by_a_command_for_this_connection(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, notice={"token_expires_at": "2020-01-01"})

    told = ready.run("check").out

    assert "the token has expired on 2020-01-01" in told
    assert f"rollcall secret upstream.token --config {ready.configuration}" in told


def test_a_wrong_password_is_looked_for_under_the_name_of_its_source(
    agent: Agent, scim: ScimService, openldap: OpenLdap
) -> None:
    openldap.load(people(2) + group("app-a", *uids(2)))
    openldap.start()
    agent.configure(scim, openldap.settings() | {"name": "tree", "bind_password": "an-old-one"})

    report = agent.sync()

    assert report["exit_code"] == 4
    assert "bind_password_file, or rollcall secret tree.bind_password" in report["sources"][0]["reason"]


def test_it_is_said_that_no_proxy_is_used(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, upstream={"url": f"http://127.0.0.1:{free_port()}/scim", "attempts": 1})

    told = ready.run("check", HTTPS_PROXY="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1").out

    assert "connects directly, and does not heed HTTPS_PROXY" in told
    assert "the proxy" not in told
