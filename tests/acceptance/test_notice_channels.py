"""How a notice arrives by webhook and mail, what becomes of one that does not, and its settings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.telling import mail, tell
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.certificates import certificates
from tests.servers.mail_server import PASSWORD, USER, MailServer
from tests.servers.scim_service import ScimService
from tests.servers.webhook import WebhookService


@pytest.fixture
def webhook() -> Iterator[WebhookService]:
    with WebhookService() as service:
        yield service


@pytest.fixture
def ready(agent: Agent, scim: ScimService, webhook: WebhookService) -> Agent:
    agent.configure(scim)
    tell(agent, webhook)
    agent.ldif.write_text(people(30) + group("app-a", *uids(30)))
    return agent


def test_what_does_not_arrive_is_said_and_tried_again_and_changes_no_exit_code(
    ready: Agent, webhook: WebhookService
) -> None:
    webhook.status = 500
    ready.ldif.write_text(people(30) + person("twin", mail="u0@example.com") + group("app-a", *uids(30), "twin"))
    tell(ready, webhook, token_expires_at="2020-01-01")
    failed = ready.sync()
    webhook.status = 200
    arrived = ready.sync()
    ready.sync()

    (notice,) = [sentence for sentence in failed["notices"] if "could not be delivered" in sentence]
    assert notice.startswith("1 notice could not be delivered by webhook ([notice]): it answered 500. ")
    assert failed["exit_code"] == arrived["exit_code"] == 1
    assert not [sentence for sentence in arrived["notices"] if "could not be delivered" in sentence]
    assert webhook.causes() == [("begins", "token")]


def test_a_webhook_that_does_not_answer_holds_a_cycle_up_for_seconds_only(
    ready: Agent, webhook: WebhookService
) -> None:
    webhook.delay = 60
    tell(ready, webhook, token_expires_at="2020-01-01")
    begun = time.monotonic()
    report = ready.sync()

    assert report["exit_code"] == 0
    assert any("no answer within the time limit" in sentence for sentence in report["notices"])
    assert time.monotonic() - begun < 30


def test_a_redirect_is_not_followed(ready: Agent, webhook: WebhookService) -> None:
    webhook.status, webhook.headers = 307, {"Location": webhook.url}
    tell(ready, webhook, token_expires_at="2020-01-01")
    report = ready.sync()

    assert any("it answered 307" in sentence for sentence in report["notices"])
    assert len(webhook.paths) == 1


def test_chat_services_that_take_nothing_else_get_the_text_alone(ready: Agent, webhook: WebhookService) -> None:
    tell(ready, webhook, webhook_body="text", token_expires_at="2020-01-01")
    ready.sync()

    assert [list(document) for document in webhook.received] == [["text"]]


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_an_e_mail_arrives_in_plain_words(agent: Agent, scim: ScimService, security: str) -> None:
    with MailServer(security) as server:
        agent.configure(scim)
        agent.ldif.write_text(people(1) + group("app-a", "u0"))
        mail(agent, server, token_expires_at="2020-01-01")
        report = agent.sync()
        again = agent.sync()

    assert (report["exit_code"], report["notices"], again["notices"]) == (0, [], [])
    (received,) = server.received
    assert received.message["Subject"] == "Rollcall: The upstream's token has expired on 2020-01-01."
    assert (received.sender, received.message["From"]) == ("rollcall@corp.example",) * 2
    assert received.recipients == ["operations@corp.example", "night@corp.example"]
    assert "put it into [upstream] token_file" in received.message.get_content()
    assert received.message["Auto-Submitted"] == "auto-generated"
    assert (received.encrypted, received.user) == ((False, "") if security == "none" else (True, USER))


def test_one_channel_that_fails_holds_the_other_back_neither_now_nor_later(
    ready: Agent, webhook: WebhookService
) -> None:
    with MailServer() as server:
        server.answers["RCPT"] = "550 nobody here"
        mail(ready, server, token_expires_at="2020-01-01")
        first = ready.sync()
        server.answers.clear()
        ready.sync()
        ready.sync()

    assert any("by e-mail ([notice]): it refuses every address" in sentence for sentence in first["notices"])
    assert webhook.causes() == [("begins", "token")]
    assert len(server.received) == 1


def test_without_a_certificate_that_can_be_verified_nothing_is_sent(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    with MailServer("starttls") as server, WebhookService(tls=True) as webhook:
        tell(agent, webhook, token_expires_at="2020-01-01")
        mail(agent, server, ca_file="agent.toml")
        no_authority = agent.sync()
        other = certificates("DNS:elsewhere.example", "second")
        mail(agent, server, ca_file=str(other.authority))
        distrusted = agent.sync()
        sent = len(server.received), len(webhook.received), "AUTH" in server.commands
        mail(agent, server)
        trusted = agent.sync()

    assert len([s for s in no_authority["notices"] if "holds no certificates in PEM form" in s]) == 2
    assert len([s for s in distrusted["notices"] if "its certificate cannot be verified" in s]) == 2
    assert sent == (0, 0, False)
    assert (trusted["notices"], len(server.received), len(webhook.received)) == ([], 1, 1)


def test_a_mail_server_that_offers_no_encryption_gets_no_password(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    with MailServer("none") as server:
        mail(agent, server, smtp_security="starttls", smtp_user=USER, smtp_password_file="smtp.password",
             token_expires_at="2020-01-01")  # fmt: skip
        report = agent.sync()

    assert any("it offers no STARTTLS, and nothing is sent in the clear" in sentence for sentence in report["notices"])
    assert "AUTH" not in server.commands


def test_check_sends_a_test_notice_by_every_channel(ready: Agent, webhook: WebhookService) -> None:
    with MailServer() as server:
        mail(ready, server)
        silent = ready.run("check")
        asked = ready.run("check", "--notice")
        webhook.status = 404
        wrong = ready.run("check", "--notice")

    assert (silent.code, asked.code, wrong.code) == (0, 0, 2)
    test = f"rollcall check --notice --config {ready.configuration}"
    assert f"ok      notice: by webhook and e-mail; {test} sends a test" in silent.out
    assert "a test notice was sent by webhook" in asked.out
    assert "NOT OK  notice: no test notice by webhook: it answered 404" in wrong.out
    assert webhook.causes() == [("test", "test")]
    assert [received.message["Subject"] for received in server.received] == [
        "Rollcall: This is a test: notices arrive."
    ] * 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"webhook_url": "http://chat.example/hook/Nimue"}, "notice.webhook_url: it would be posted to unencrypted"),
        ({"webhook_url": "https://user:Nimue@chat.example"}, "notice.webhook_url: that is not an address"),
        ({"webhook_url": "https://chat.example:99999/Nimue"}, "notice.webhook_url: that is not an address"),
        ({"webhook_url": "https://chat.example/\nNimue"}, "notice.webhook_url: that is not an address"),
        ({"webhook_url": ["Nimue"]}, "notice.webhook_url: is a text"),
        ({"webhook_uri": "x"}, 'notice.webhook_uri: is not a setting; did you mean "webhook_url"?'),
        ({"smtp_host": "mail.example"}, "smtp_host is set: say also from and to"),
        ({"smtp_host": "mail.example:25"}, "write the name or the address of the mail server, without a port"),
        ({"from": "x@y.example\r\nBcc: z@y.example"}, "is no e-mail address"),
        ({"to": ["nobody"]}, '"nobody" is no e-mail address'),
        (
            {"smtp_host": "mail.example", "from": "a@b.example", "to": "c@b.example", "smtp_security": "none"},
            'smtp_security = "none" is for a mail server on this machine only',
        ),
        (
            {"smtp_host": "mail.example", "from": "a@b.example", "to": "c@b.example", "smtp_user": "u"},
            "smtp_user is set, and no password",
        ),
        ({"ca_file": "nowhere.pem"}, "nowhere.pem does not exist"),
        ({"token_expires_at": "soon"}, "notice.token_expires_at: "),
        ({"stale_after": "a while"}, "notice.stale_after: write a whole number above zero and its unit"),
    ],
)
def test_wrong_settings_are_told_without_the_secret(
    agent: Agent, scim: ScimService, settings: dict[str, Any], told: str
) -> None:
    agent.configure(scim, notice=settings)

    done = agent.run("check")

    assert done.code == 2
    assert told in done.err
    assert "Nimue" not in done.err


def test_its_secrets_may_come_from_the_environment_and_from_the_credentials_directory(
    agent: Agent, scim: ScimService, webhook: WebhookService
) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    credentials = agent.directory / "credentials"
    credentials.mkdir()
    (credentials / "notice.webhook_url").write_text(webhook.url)
    (credentials / "notice.smtp_password").write_text(PASSWORD)
    with MailServer("tls") as server:
        mail(agent, server)
        del agent.sections["notice"]["smtp_password_file"]
        agent.write()
        by_systemd = agent.run("check", "--notice", CREDENTIALS_DIRECTORY=str(credentials))
        variables = {"ROLLCALL_NOTICE__WEBHOOK_URL": webhook.url, "ROLLCALL_NOTICE__SMTP_PASSWORD": PASSWORD}
        variables |= {"ROLLCALL_NOTICE__FROM": "other@corp.example", "ROLLCALL_NOTICE__TO": '["day@corp.example"]'}
        by_environment = agent.run("check", "--notice", **variables)

    assert (by_systemd.code, by_environment.code) == (0, 0)
    assert len(webhook.received) == len(server.received) == 2
    assert (server.received[1].sender, server.received[1].recipients) == ("other@corp.example", ["day@corp.example"])
