"""No secret reaches a log, a message, the state or the audit trail, whatever goes wrong."""

from __future__ import annotations

import base64
import json

import pytest
import structlog

from agent.observe.logs import configure_logs
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.certificates import certificates
from tests.servers.mail_server import PASSWORD, USER, MailServer
from tests.servers.openldap import READER_PASSWORD, OpenLdap
from tests.servers.ports import free_port
from tests.servers.scim_service import Fault, ScimService
from tests.servers.webhook import WebhookService

# A token that tells when it expires: 2100.
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode() for part in (b'{"alg":"x"}', b'{"exp":4102444800}', b"Merlin-55512")
)


def test_neither_the_password_nor_the_token_is_ever_written(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    ldif = people(5) + group("app-all", *uids(5))
    openldap.load("".join(line + "\n" for line in ldif.splitlines() if not line.startswith("entryUUID:")))
    openldap.start()
    source = openldap.settings()
    said = []

    def everything() -> None:
        for command in (["check", "--notice"], ["plan"], ["sync"], ["external"], ["status"], ["audit"]):
            done = agent.run(*command, "--verbose")
            said.append(done.out + done.err)

    scim.token = JWT
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

    with MailServer("starttls") as mail, WebhookService(tls=True) as webhook:
        (agent.directory / "webhook").write_text(webhook.url)
        (agent.directory / "smtp.password").write_text(PASSWORD)
        notice = {
            "webhook_url_file": "webhook", "smtp_host": "127.0.0.1", "smtp_port": mail.port, "smtp_user": USER,
            "smtp_password_file": "smtp.password", "from": "a@b.example", "to": "c@b.example",
            "ca_file": str(certificates().authority), "token_expires_at": "2020-01-01", "rejected_over": 0,
        }  # fmt: skip
        agent.configure(scim, source, notice=notice, agent={"log_level": "debug"})
        everything()
        told = json.dumps(webhook.received) + "".join(item.message.as_string() for item in mail.received)
        mail.answers["AUTH"] = f"535 {PASSWORD} is wrong, {webhook.url}"
        webhook.status, webhook.headers = 302, {"Location": webhook.url}
        agent.configure(scim, source, notice=notice | {"rejected_over": 1000}, upstream={"url": "http://127.0.0.1:9"})
        everything()
        agent.configure(scim, source, notice=notice | {"smtp_port": free_port(), "ca_file": "agent.toml"})
        everything()

    assert len(webhook.received) >= 2
    assert len(mail.received) >= 2
    assert len(webhook.paths) > len(webhook.received)
    files = [path for path in agent.state.rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in files) + "".join(said).encode()
    names = {path.name for path in files}
    assert {"rollcall.sqlite3", "audit.jsonl"} <= names
    assert len(said) == 48
    secrets = (READER_PASSWORD, READER_PASSWORD + "-old", scim.token, PASSWORD, WebhookService.secret)
    for secret in secrets:
        assert written.count(secret.encode()) == 0, secret
        assert secret not in told


def test_secrets_may_come_from_the_environment_and_from_the_credentials_directory(
    agent: Agent, scim: ScimService
) -> None:
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.configure(scim)
    credentials = agent.directory / "of-systemd"
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
