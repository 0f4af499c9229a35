"""Settings of [guard], [leavers], [audit] and [notice] that are written wrongly are told of, by key and once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("leavers", {"delete_after": "90"}, "leavers.delete_after: write a whole number above zero and its unit, like"),
        ("leavers", {"delete_external_after": "NEVER"}, "or else \"never\" (found 'NEVER')."),
        ("leavers", {"delete_groups_after": 90}, "leavers.delete_groups_after: write a whole number"),
        ("audit", {"keep": "0d"}, "audit.keep: write a whole number above zero"),
        ("audit", {"keep": "never"}, "or else \"for ever\" (found 'never')."),
        ("guard", {"users": True}, "guard.users: write a whole number"),
        ("guard", {"group": {"name:app-*": {"members": True}}}, "guard.group.name:app-*.members: write a whole number"),
        ("guard", {"protected": ["x"]}, 'guard.protected: "x" is not a distinguished name'),
        ("guard", {"group": {"x": {"members": 1}}}, 'guard.group: "x" is not a distinguished name'),
        ("notice", {"to": ["operations@corp.example"]}, "notice: to is set, and smtp_host is not"),
        ("notice", {"from": "rollcall@corp.example"}, "notice: from is set, and smtp_host is not"),
    ],
)
def test_a_wrong_value_is_told_of_once(
    agent: Agent, scim: ScimService, section: str, values: dict[str, Any], said: str
) -> None:
    agent.configure(scim, **{section: values})

    done = agent.run("plan")

    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert f"agent.toml: {section}" in done.err


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("leavers", {"delete_after": "never", "delete_external_after": "90d", "delete_groups_after": "12h"}),
        ("audit", {"keep": "for ever"}),
        ("audit", {"keep": "30d"}),
        ("guard", {"users": 0}),
    ],
)
def test_a_right_value_is_taken(agent: Agent, scim: ScimService, section: str, values: dict[str, Any]) -> None:
    agent.configure(scim, **{section: values})
    agent.ldif.write_text(people(2) + group("app-a", *uids(2)))

    assert agent.run("plan").code == 0


def test_a_number_of_members_for_a_group_counts_however_small_the_group(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard={"group": {"name:app-a": {"members": 0, "members_share": "0%"}}})
    rest = group("app-rest", *uids(8))
    agent.ldif.write_text(people(8) + group("app-a", *uids(8)) + group("app-b", *uids(8)) + rest)
    agent.sync()
    agent.ldif.write_text(people(8) + group("app-a", *uids(7)) + group("app-b", "u0") + rest)

    held = agent.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose 1 of 8 members; the limit is 0" in held["sentences"][0]
    assert len(scim.membership()["app-b"]) == 1

    agent.configure(scim, guard={"group": {"name:app-a": {"members": 0, "members_share": "0%", "members_from": 10}}})
    assert agent.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 7
