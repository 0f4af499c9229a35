"""What becomes of people and groups whose entry is no longer what it was."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, person_dn, uids
from tests.servers.scim_service import ScimService


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_a_person_who_has_become_a_group_is_deactivated(ready: Agent, scim: ScimService) -> None:
    rest = people(3) + group("app-a", *uids(3), "x")
    ready.ldif.write_text(rest + person("x"))
    ready.sync()
    ready.ldif.write_text(
        rest + person("x", extra=f"member: {person_dn('u0')}\n").replace("inetOrgPerson", "groupOfNames")
    )

    ready.sync()

    assert scim.active() == mails(*uids(3))
    assert scim.membership() == {"app-a": mails(*uids(3))}


def test_a_group_that_has_become_a_person_is_emptied(ready: Agent, scim: ScimService) -> None:
    rest = people(3) + group("app-a", *uids(3))
    ready.ldif.write_text(rest + group("app-b", "u1", "u2"))
    ready.sync()
    ready.ldif.write_text(rest + group("app-b").replace("groupOfNames", "inetOrgPerson"))

    ready.sync()

    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": set()}


def test_a_group_that_loses_its_name_is_not_taken_for_one_that_left_the_scope(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, mapping={"group_name": "{description}"})
    nameless = group("one", "u0", "u1")
    rest = people(3) + group("two", "u2").replace("\n\n", "\ndescription: app-b\n\n")
    ready.ldif.write_text(rest + nameless.replace("\n\n", "\ndescription: app-a\n\n"))
    ready.sync()
    ready.ldif.write_text(rest + nameless)

    report, again = ready.sync(), ready.sync("--full")

    assert (report["exit_code"], again["exit_code"]) == (1, 1)
    assert "has no name: {description} is empty" in " ".join(report["sentences"])
    assert scim.membership() == {"app-a": mails("u0", "u1"), "app-b": mails("u2")}
    assert scim.active() == mails(*uids(3))
