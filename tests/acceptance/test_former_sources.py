"""A source that is no longer configured, or has another name: nobody is lost, and nobody is taken for somebody new."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

LDIF = {"connector": "ldif", "file": "directory.ldif"}


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, {"name": "corp", **LDIF})
    agent.ldif.write_text(people(15) + group("app-a", *uids(15)) + group("app-b", "u0"))
    assert agent.sync()["exit_code"] == 0
    return agent


def test_a_source_with_another_name_is_the_same_people(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, {"name": "company", **LDIF})

    report = ready.sync()

    assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)
    assert scim.active() == mails(*uids(15))
    assert scim.membership() == {"app-a": mails(*uids(15)), "app-b": mails("u0")}


def test_what_changes_together_with_the_name_is_a_change_like_any_other(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, {"name": "company", **LDIF})
    ready.ldif.write_text(people(15) + group("app-a", *uids(14)) + group("app-b", "u1"))

    ready.sync()
    ready.configure(scim, {"name": "corp", **LDIF})
    report = ready.sync()

    assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)
    assert scim.active() == mails(*uids(14))
    assert scim.membership() == {"app-a": mails(*uids(14)), "app-b": mails("u1")}


def test_a_source_that_is_taken_out_keeps_its_people(ready: Agent, scim: ScimService) -> None:
    other = ready.directory / "other.ldif"
    other.write_text(person("x0") + group("app-x", "x0"))
    ready.configure(scim, {"name": "other", "connector": "ldif", "file": "other.ldif"})

    report = ready.sync()

    assert report["exit_code"] == 0
    assert scim.active() == mails(*uids(15), "x0")
    assert scim.membership()["app-a"] == mails(*uids(15))
