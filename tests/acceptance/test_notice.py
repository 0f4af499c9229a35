"""Somebody is told when something goes wrong: once, and once when it is over."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.telling import in_the_state, tell
from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
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
    approve = f"rollcall approve {held['plan_digest']} --config {ready.configuration}"
    assert begins["details"][-1].endswith(approve)
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
