"""No secret reaches a log, a message, the state or the audit trail, whatever goes wrong."""

from __future__ import annotations

import pytest
import structlog

from agent.observe.logs import configure_logs
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.openldap import READER_PASSWORD, OpenLdap
from tests.servers.ports import free_port
from tests.servers.scim_service import Fault, ScimService


def test_neither_the_password_nor_the_token_is_ever_written(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    ldif = people(5) + group("app-all", *uids(5))
    openldap.load("".join(line + "\n" for line in ldif.splitlines() if not line.startswith("entryUUID:")))
    openldap.start()
    source = openldap.settings()
    said = []

    def everything() -> None:
        for command in ("check", "plan", "sync", "external", "status"):
            done = agent.run(command, "--verbose")
            said.append(done.out + done.err)

    agent.configure(scim, source, agent={"log_format": "json", "log_level": "debug"})
    everything()
    scim.faults.append(Fault(lambda _request: True, times=500, status=401))
    agent.configure(scim, source, scope={"groups": ["name:*"]})
    everything()
    agent.configure(scim, source | {"urls": [f"ldaps://127.0.0.1:{free_port()}"]}, agent={"log_format": "console"})
    everything()
    agent.configure(scim, source | {"bind_dn": READER_PASSWORD})  # somebody mixes the two lines up
    everything()
    agent.configure(scim, source | {"bind_password": READER_PASSWORD + "-old"}, upstream={"url": "http://127.0.0.1:9"})
    everything()

    files = [path for path in agent.state.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files) + "".join(said).encode()
    names = {path.name for path in files}
    assert {"rollcall.sqlite3", "audit.jsonl"} <= names
    assert len(said) == 25
    for secret in (READER_PASSWORD, READER_PASSWORD + "-old", scim.token):
        assert written.count(secret.encode()) == 0, secret


def test_secrets_may_come_from_the_environment_and_from_the_credentials_directory(
    agent: Agent, scim: ScimService
) -> None:
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.configure(scim)
    credentials = agent.directory / "credentials"
    credentials.mkdir()
    (agent.directory / "scim.token").rename(credentials / "upstream.token")
    del agent.sections["upstream"]["token_file"]
    agent.write()

    without = agent.run("sync")
    from_environment = agent.run("sync", ROLLCALL_UPSTREAM__TOKEN=scim.token)
    from_systemd = agent.run("sync", CREDENTIALS_DIRECTORY=str(credentials))

    assert without.code == 2
    assert "no token is set" in without.err
    assert (from_environment.code, from_systemd.code) == (0, 0)


def test_a_secret_that_was_replaced_while_the_daemon_runs_stays_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        for secret in ("old-secret", "new-secret"):
            configure_logs("json", "info", [secret])
        structlog.get_logger().info("a request in flight", reason="refused old-secret and new-secret")
    finally:
        structlog.reset_defaults()

    assert "refused ******** and ********" in capsys.readouterr().err
