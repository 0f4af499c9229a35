"""Somebody is told when something goes wrong: once, and once when it is over."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.certificates import certificates
from tests.servers.mail_server import PASSWORD, USER, MailServer
from tests.servers.scim_service import Fault, ScimService
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


def token_that_expires(at: datetime) -> str:
    parts = [{"alg": "HS256"}, {"sub": "rollcall", "exp": int(at.timestamp())}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".sig"


def test_what_the_guard_holds_is_told_once_with_its_digest_and_causes_and_when_it_is_over(
    ready: Agent, webhook: WebhookService
) -> None:
    ready.sync()
    ready.ldif.write_text(people(30) + group("app-a", *uids(12)))
    held = ready.sync()
    ready.sync()
    told = list(webhook.received)
    ready.run("approve", held["plan_digest"])
    ready.sync()
    ready.sync()

    assert webhook.causes() == [("begins", "guard"), ("over", "guard")]
    (begins,) = told
    assert begins["digest"] == held["plan_digest"]
    assert begins["headline"] == "The guard holds 18 memberships and 18 users back."
    cause = "group app-a: no longer a member of the group: 18 users deactivated or deleted, 18 memberships removed"
    assert cause in begins["details"]
    assert begins["details"][-1].endswith(f"rollcall approve {held['plan_digest']}")
    assert begins["text"].splitlines()[1:] == begins["details"]
    assert begins["headline"] in begins["text"]
    assert begins["upstream"] == "127.0.0.1"
    assert "Over: The guard holds nothing back any more." in webhook.received[1]["text"]
    assert webhook.received[1]["details"] == ["It was: The guard holds 18 memberships and 18 users back."]


def test_another_plan_that_is_held_is_told_too_but_not_at_once(ready: Agent, webhook: WebhookService) -> None:
    ready.sync()
    ready.ldif.write_text(people(30) + group("app-a", *uids(12)))
    ready.sync()
    ready.ldif.write_text(people(30) + group("app-a", *uids(11)))
    second = ready.sync()
    at_once = webhook.causes()
    in_the_state(ready, "update trouble set told_at = '2026-01-01 00:00:00'")
    ready.sync()
    ready.sync()

    assert at_once == [("begins", "guard")]
    assert webhook.causes() == [("begins", "guard"), ("changed", "guard")]
    assert webhook.received[1]["digest"] == second["plan_digest"]


def test_a_source_is_stale_after_a_time_without_a_complete_read(ready: Agent, webhook: WebhookService) -> None:
    ready.sync()
    content = ready.ldif.read_text()
    ready.ldif.unlink()
    early = ready.sync()
    told_early = webhook.causes()
    in_the_state(ready, "update source set fresh_at = '2026-01-02 03:04:05'")
    ready.sync()
    ready.ldif.write_text(content)
    ready.sync()

    assert (early["exit_code"], told_early) == (4, [])
    assert webhook.causes() == [("begins", "source corp"), ("over", "source corp")]
    begins = webhook.received[0]
    assert begins["headline"] == "Source corp has not been read completely since 2026-01-02 03:04 UTC."
    assert "directory.ldif" in begins["details"][0]


def test_a_source_that_was_never_read_becomes_stale_too(ready: Agent, webhook: WebhookService) -> None:
    ready.ldif.unlink()
    tell(ready, webhook, stale_after="1s")
    ready.sync()
    time.sleep(1.1)
    ready.sync()

    assert webhook.causes() == [("begins", "source corp")]


def test_a_token_tells_itself_when_it_expires(ready: Agent, scim: ScimService, webhook: WebhookService) -> None:
    soon = datetime.now(UTC) + timedelta(days=13)
    scim.token = token_that_expires(soon)
    ready.configure(scim)
    tell(ready, webhook, token_expires_at="2020-01-01")  # forgotten there, so it does not count
    ready.sync()
    check = ready.run("check")
    scim.token = token_that_expires(soon + timedelta(days=300))
    (ready.directory / "scim.token").write_text(scim.token)
    ready.sync()

    assert webhook.causes() == [("begins", "token"), ("over", "token")]
    assert webhook.received[0]["headline"] == f"The upstream's token expires on {soon:%Y-%m-%d}."
    assert f"upstream: the token expires on {soon:%Y-%m-%d}" in check.out
    assert scim.token not in json.dumps(webhook.received)


def test_the_settings_tell_when_another_token_expires(ready: Agent, webhook: WebhookService) -> None:
    in_three_days = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    tell(ready, webhook, token_expires_at=in_three_days, token_warning="1d")
    ready.sync()
    before = webhook.causes()
    tell(ready, webhook, token_expires_at=in_three_days)
    ready.sync()
    tell(ready, webhook, token_expires_at="2020-01-01")
    in_the_state(ready, "update trouble set told_at = '2026-01-01 00:00:00'")
    ready.sync()

    assert before == []
    assert webhook.causes() == [("begins", "token"), ("changed", "token")]
    assert [document["headline"] for document in webhook.received] == [
        f"The upstream's token expires on {in_three_days}.",
        "The upstream's token has expired on 2020-01-01.",
    ]
    assert "Then correct [notice] token_expires_at." in webhook.received[1]["text"]


def test_an_upstream_that_refuses_the_token_is_told_at_once_and_one_that_is_away_after_a_time(
    ready: Agent, scim: ScimService, webhook: WebhookService
) -> None:
    refused = Fault(lambda _r: True, times=1000, status=401)
    scim.faults.append(refused)
    ready.sync()
    scim.faults.clear()
    ready.sync()
    told = webhook.causes()
    quiet = ready.sync()
    ready.sections["upstream"]["url"] = "http://127.0.0.1:9"
    ready.write()
    ready.sync("--full")
    early = webhook.causes()
    in_the_state(ready, "update trouble set since = '2026-01-01 00:00:00'")
    ready.sync("--full")

    assert told == [("begins", "upstream"), ("over", "upstream")]
    assert quiet["counts"]["requests"] == 0
    assert early == told
    assert webhook.causes() == [*told, ("begins", "upstream")]


def test_a_cycle_that_cannot_run_is_told(ready: Agent, webhook: WebhookService) -> None:
    ready.state.mkdir()
    (ready.state / "audit.jsonl").mkdir()
    codes = [ready.run("sync").code, ready.run("sync").code]
    told = list(webhook.received)
    (ready.state / "audit.jsonl").rmdir()
    ready.sync()

    assert codes == [2, 2]
    (failed,) = told
    assert (failed["cause"], failed["headline"]) == ("cycle", "A cycle could not run.")
    assert "audit.jsonl cannot be opened" in failed["details"][0]
    assert webhook.causes() == [("begins", "cycle"), ("over", "cycle")]


def test_the_daemon_tells_of_it_while_no_cycle_succeeds(ready: Agent, webhook: WebhookService) -> None:
    ready.sections["schedule"] = {"every": "1s"}
    ready.ldif.unlink()
    tell(ready, webhook, stale_after="2s")
    with running(ready):
        wait_for(lambda: bool(webhook.received))
        time.sleep(1.5)

    assert webhook.causes() == [("begins", "source corp")]


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
    assert "ok      notice: by webhook and e-mail; rollcall check --notice sends a test" in silent.out
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
