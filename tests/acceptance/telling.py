"""Configuring who is told, for tests of notices."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.servers.certificates import certificates
from tests.servers.mail_server import PASSWORD, USER, MailServer
from tests.servers.webhook import WebhookService


@pytest.fixture
def webhook() -> Iterator[WebhookService]:
    with WebhookService() as service:
        yield service


def tell(agent: Agent, webhook: WebhookService, **settings: Any) -> None:
    (agent.directory / "webhook").write_text(webhook.url + "\n")
    agent.sections["notice"] = {"webhook_url_file": "webhook"} | settings
    agent.write()


def mail(agent: Agent, server: MailServer, **settings: Any) -> None:
    (agent.directory / "smtp.password").write_text(PASSWORD + "\n")
    made = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": server.security}
    if server.security != "none":
        made |= {"smtp_user": USER, "smtp_password_file": "smtp.password", "ca_file": str(certificates().authority)}
    addresses = {"from": "rollcall@corp.example", "to": ["operations@corp.example", "night@corp.example"]}
    agent.sections["notice"] = agent.sections.get("notice", {}) | made | addresses | settings
    agent.write()


def in_the_state(agent: Agent, statement: str, *values: object) -> None:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as state:
        state.execute(statement, values)
