"""`rollcall explain` of somebody of whom a restored state knows nothing but what the audit trail tells."""

from __future__ import annotations

import pytest

from tests.acceptance.test_restored_state import OPEN, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

__all__ = ["ready"]

GROUPS = group("app-a", *uids(4), "new") + group("app-b", *uids(6)) + group("app-c", "new")
WITH_NEW = people(6) + person("new") + GROUPS
WHO = "new@example.com"


@pytest.fixture
def unread(ready: Agent) -> Agent:
    """The source is away in the first cycle after the restore."""
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    restore(ready)
    ready.ldif.rename(ready.directory / "away")
    assert ready.sync()["exit_code"] == 4
    return ready


def test_what_nobody_has_read_yet_is_not_said_to_be_missing(unread: Agent) -> None:
    done = unread.run("explain", WHO)

    text = " ".join(done.out.split())
    assert done.code == 0
    assert f"{WHO} is left as it stands upstream" in text
    assert "nothing of it was read since the state was restored" in text
    assert "The next complete read tells" in text
    untrue = ("no group lists it", "not listed any more", "not selected", "no mail", "enabled", "Put the person into")
    assert [words for words in untrue if words in text] == []


def test_after_the_next_read_it_is_a_person_like_any_other(unread: Agent) -> None:
    (unread.directory / "away").rename(unread.ldif)
    unread.sync()

    told = unread.run("explain", WHO, "--json").document

    assert told["verdict"]["provisioned"] is True
    assert [item["unread"] for item in told["entries"]] == [False]


def test_whoever_is_gone_by_then_is_told_as_gone(unread: Agent, scim: ScimService) -> None:
    unread.configure(scim, guard=OPEN)
    unread.ldif.write_text(people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6)))
    unread.sync()

    text = " ".join(unread.run("explain", WHO).out.split())

    assert "it is gone from source corp" in text
    assert "since the state was restored" not in text
