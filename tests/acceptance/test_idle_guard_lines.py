"""Lines of [guard] that protect nobody, or limit no group, are told of; they are no error."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person_dn, uids
from tests.servers.scim_service import ScimService

DIRECTORY = people(5) + group("app-a", *uids(3), group_dn("vip")) + group("vip", "u3", "u4")


def told(agent: Agent) -> dict[str, list[str]]:
    return {
        "sync": agent.sync()["notices"],
        "plan": agent.run("plan", "--json").document["notices"],
        "status": agent.run("status", "--json").document["notices"],
        "check": [item["message"] for item in agent.run("check", "--json").document if item["ok"]],
    }


@pytest.mark.parametrize("line", [person_dn("u00"), "name:vipp-*", "mail:*@exampel.com", "name:vip", group_dn("vip")])
def test_a_line_that_protects_nobody_is_told_of(agent: Agent, scim: ScimService, line: str) -> None:
    agent.configure(scim, guard={"protected": [line, "mail:u0@example.com"]})
    agent.ldif.write_text(DIRECTORY)

    for command, sentences in told(agent).items():
        found = [text for text in sentences if "[guard] protected" in text]
        assert len(found) == 1, command
        assert f'"{line}" protects nobody' in found[0]
    assert [agent.run(command).code for command in ("sync", "plan", "status", "check")] == [0, 0, 0, 0]


@pytest.mark.parametrize("line", [person_dn("U0"), "NAME:APP-*", "mail:*@Example.com", group_dn("app-a")])
def test_a_line_that_protects_somebody_is_not(agent: Agent, scim: ScimService, line: str) -> None:
    agent.configure(scim, guard={"protected": [line]})
    agent.ldif.write_text(DIRECTORY)

    for sentences in told(agent).values():
        assert [text for text in sentences if "[guard]" in text] == []

    agent.ldif.write_text(DIRECTORY.replace("ou=People", "ou=Board").replace("ou=Groups", "ou=New"))
    agent.configure(scim, guard={"protected": [line]}, scope={"groups": ["name:app-*"]})

    for sentences in told(agent).values():
        assert [text for text in sentences if "[guard]" in text] == []


def test_a_rule_for_a_group_that_has_moved_is_told_of(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"group": {group_dn("app-a"): {"members": 0}, "name:app-*": {"members": 5}}})
    agent.ldif.write_text(DIRECTORY)
    for sentences in told(agent).values():
        assert [text for text in sentences if "[guard" in text] == []

    agent.ldif.write_text(
        DIRECTORY.replace(f"dn: {group_dn('app-a')}", f"dn: {group_dn('app-a')}".replace("Groups", "New"))
    )

    for command, sentences in told(agent).items():
        found = [text for text in sentences if "[guard.group]" in text]
        assert len(found) == 1, command
        assert f'"{group_dn("app-a")}" limits no group' in found[0]


@pytest.mark.parametrize("guard", [{"protected": [""]}, {"protected": ["  "]}, {"group": {"": {"members": 1}}}])
def test_an_empty_line_is_refused(agent: Agent, scim: ScimService, guard: dict[str, object]) -> None:
    agent.configure(scim, guard=guard)

    done = agent.run("plan")

    assert done.code == 2
    assert "agent.toml: guard." in done.err
    assert "is empty" in done.err
