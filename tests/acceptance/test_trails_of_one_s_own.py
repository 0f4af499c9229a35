"""Which records of a trail tell what this installation has made at this service, whatever the two were called then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.upstream.service import plain_address
from tests.acceptance.test_restored_state import OPEN, mails, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.older_schema import TO_SCHEMA_11
from tests.servers.scim_service import ScimService

__all__ = ["ready"]

EVERYBODY = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
WITH_NEW = people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6))
WITH_TWO = WITH_NEW + person("two") + group("app-c", "two")


def back_up(agent: Agent) -> None:
    shutil.rmtree(agent.directory / "backup", ignore_errors=True)
    shutil.copytree(agent.state, agent.directory / "backup")


def as_the_version_before_made_it(directory: Path) -> None:
    """Without a name: schema 0010."""
    connection = sqlite3.connect(directory / "rollcall.sqlite3")
    connection.execute("delete from fact where name = 'name of this installation'")
    connection.executescript(TO_SCHEMA_11)
    connection.execute("update alembic_version set version_num = '0010'")
    connection.commit()
    connection.execute("pragma wal_checkpoint(truncate)")
    connection.close()


def made_meanwhile(agent: Agent, content: str = WITH_NEW) -> None:
    agent.ldif.write_text(content)
    assert agent.sync()["exit_code"] == 0


def rewrite_trail(agent: Agent, *without: str, **with_: Any) -> None:
    path = agent.state / "audit.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{key: value for key, value in record.items() if key not in without} | with_ for record in records]
    path.write_text("".join(json.dumps(record) + "\n" for record in kept))


def left_since(agent: Agent, cycles: int = 3) -> list[Any]:
    """Everybody who came after the back-up has left by now. Return the reports."""
    agent.ldif.write_text(EVERYBODY)
    return [agent.sync() for _ in range(cycles)]


def test_of_a_back_up_by_a_version_that_gave_no_names(ready: Agent, scim: ScimService) -> None:
    """As it is made before the upgrade. Brought up to the schema again, it gets another name."""
    as_the_version_before_made_it(ready.state)
    back_up(ready)
    made_meanwhile(ready)
    restore(ready)

    left_since(ready)

    assert scim.active() == mails(*uids(6))


def test_records_of_a_version_that_gave_no_names_and_wrote_no_address(ready: Agent, scim: ScimService) -> None:
    back_up(ready)
    as_the_version_before_made_it(ready.directory / "backup")
    made_meanwhile(ready)
    rewrite_trail(ready, "installation", "upstream")
    restore(ready)

    left_since(ready)

    assert scim.active() == mails(*uids(6))


def test_that_an_old_back_up_was_put_back_once_hides_nothing_from_a_newer_one(ready: Agent, scim: ScimService) -> None:
    old = ready.directory / "old"
    shutil.copytree(ready.state, old)
    as_the_version_before_made_it(old)
    made_meanwhile(ready)
    back_up(ready)
    newer = (ready.directory / "backup").rename(ready.directory / "newer")
    shutil.copytree(old, ready.directory / "backup")
    restore(ready)
    made_meanwhile(ready, WITH_TWO)
    assert "two@example.com" in scim.active()
    shutil.rmtree(ready.directory / "backup")
    newer.rename(ready.directory / "backup")
    restore(ready)

    left_since(ready)

    assert scim.active() == mails(*uids(6))


def test_what_another_installation_has_written_into_this_trail_is_not_taken(
    ready: Agent, scim: ScimService, tmp_path: Path
) -> None:
    other = Agent(tmp_path / "other")
    other.directory.mkdir()
    other.configure(scim, guard=OPEN, scope={"groups": ["name:web-*"]})
    other.ldif.write_text(person("stranger") + group("web-a", "stranger"))
    other.sync()
    with (ready.state / "audit.jsonl").open("a") as trail:
        trail.write((other.state / "audit.jsonl").read_text())

    for _ in range(3):
        ready.sync()

    assert scim.active() == mails(*uids(6), "stranger")
    assert scim.membership()["web-a"] == mails("stranger")


def test_the_same_address_in_another_spelling(ready: Agent, scim: ScimService) -> None:
    made_meanwhile(ready)
    restore(ready)
    spelled = scim.url.replace("http://127.0.0.1", "HTTP://127.0.0.1") + "/"
    ready.configure(scim, guard=OPEN, upstream={"url": spelled})
    before = len(scim.requests)

    reports = left_since(ready)

    assert scim.active() == mails(*uids(6))
    assert reports[0]["notices"] == []
    # It is no other address, so nobody is looked at singly.
    assert not [one for one in scim.requests[before:] if one.method == "GET" and "/Users/" in one.path]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://API.example/scim", "HTTPS://api.Example:443/scim/", True),
        ("http://[::1]:80/scim//", "http://[::1]/scim", True),
        ("https://api.example/scim", "https://api.example:8443/scim", False),
        ("https://api.example/scim", "http://api.example/scim", False),
        ("https://api.example:80/scim", "http://api.example/scim", False),
        ("https://api.example/scim", "https://api.example/SCIM", False),
        ("https://api.example/scim", "https://api.example/scim?tenant=2", False),
        ("https://api.example:port/scim", "https://api.example/scim", False),
        ("", "https://api.example", False),
    ],
)
def test_two_spellings_of_one_address(one: str, other: str, *, same: bool) -> None:
    assert (plain_address(one) == plain_address(other)) == same


def test_after_the_address_has_changed_what_was_made_under_either_is_taken_up(ready: Agent, scim: ScimService) -> None:
    made_meanwhile(ready)
    ready.configure(scim, guard=OPEN, upstream={"url": scim.url.replace("127.0.0.1", "localhost")})
    made_meanwhile(ready, WITH_TWO)
    restore(ready)

    left_since(ready)

    assert scim.active() == mails(*uids(6))


def test_records_about_a_third_address_are_left_out_and_counted(ready: Agent, scim: ScimService) -> None:
    before = (ready.state / "audit.jsonl").read_text()
    made_meanwhile(ready)
    since = (ready.state / "audit.jsonl").read_text().removeprefix(before).splitlines()
    rewrite_trail(ready, upstream="https://Other.example/scim/v2/")
    restore(ready)

    first, *others = left_since(ready)

    assert "new@example.com" in scim.active()
    expected = f"{len(since)} records about another address than [upstream] url (https://other.example/scim/v2)"
    for report in (first, *others):
        assert any(expected in notice for notice in report["notices"])
    assert any(expected in notice for notice in ready.run("status", "--json").document["notices"])
    ready.sync("--full")
    assert not any(expected in notice for notice in ready.sync()["notices"])


@pytest.mark.parametrize("told", [True, False])
def test_what_was_made_at_a_trial_service_touches_nobody_at_this_one(
    ready: Agent, scim: ScimService, *, told: bool
) -> None:
    """The back-up is of the time of the trial. Whether the records tell the address or not."""
    made_meanwhile(ready)
    if not told:
        rewrite_trail(ready, "installation", "upstream")
    restore(ready)
    with ScimService() as production:
        for number, scim_id in enumerate(scim.users):
            production.users[scim_id] = {"id": scim_id, "userName": f"stranger{number}@example.com", "active": True}
        strangers = json.dumps(production.users, sort_keys=True)
        ready.configure(production, guard=OPEN)

        left_since(ready)

        touched = {scim_id: user for scim_id, user in production.users.items() if scim_id in scim.users}
        assert json.dumps(touched, sort_keys=True) == strangers
        assert production.membership() == {"app-a": mails(*uids(4)), "app-b": mails(*uids(6))}
