"""What the guide tells to do when a guard has stopped."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.guide import block_of, blocks_of, commands_of
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

DOCUMENT = "guard.md"
GUARD = "The guard stopped"
SINGLE = "Single objects, or a push that did not end"


@pytest.fixture
def stopped(agent: Agent, scim: ScimService) -> Agent:
    """Of 30 people 20 are not in their group any more."""
    agent.configure(scim)
    agent.ldif.write_text(people(30) + group("app-a", *uids(30)) + group("app-b", "u29"))
    agent.sync()
    agent.ldif.write_text(people(31) + group("app-a", *uids(10), "u30") + group("app-b", "u29"))
    assert agent.sync()["exit_code"] == 3
    return agent


def type_in(agent: Agent, words: list[str]) -> str:
    done = agent.run(*words[1:])
    assert done.code in {0, 3}, done.err
    return " ".join(done.out.split())


def commands_under(heading: str) -> list[list[str]]:
    found = [block for block in blocks_of(DOCUMENT) if (block.heading, block.language) == (heading, "sh")]
    return [words for block in found for words in commands_of(block)]


def test_what_is_held_is_shown_with_its_cause_and_its_digest_and_changes_nothing(
    stopped: Agent, scim: ScimService
) -> None:
    before = (scim.active(), scim.membership(), scim.writes())
    look = [words for words in commands_under("Something stopped") if "service" not in words]
    plan, explain, _approve = commands_under(GUARD)
    explain[-1] = "u15@example.com"

    said = " ".join(type_in(stopped, words) for words in (*look, plan, explain))

    digest = stopped.run("plan", "--json").document["digest"]
    assert f"rollcall approve {digest}" in said
    assert "Stopped by the guard" in said
    assert "u15@example.com" in said
    assert (scim.active(), scim.membership(), scim.writes()) == before
    assert "u30@example.com" in scim.active()


def test_what_is_approved_is_carried_out_by_the_next_cycle(stopped: Agent, scim: ScimService) -> None:
    digest = stopped.run("plan", "--json").document["digest"]
    approve = commands_under(GUARD)[-1]
    assert approve[-1] == "DIGEST"

    type_in(stopped, [*approve[:-1], digest])

    assert stopped.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 11


def test_what_was_not_meant_is_held_no_more_once_it_is_mended(stopped: Agent, scim: ScimService) -> None:
    stopped.ldif.write_text(people(31) + group("app-a", *uids(31)) + group("app-b", "u29"))

    assert stopped.sync()["exit_code"] == 0
    assert len(scim.membership()["app-a"]) == 31
    assert stopped.run("plan").code == 0


def test_who_is_deactivated_at_the_service_while_a_guard_holds_stays_so(stopped: Agent, scim: ScimService) -> None:
    next(user for user in scim.users.values() if user["userName"] == "u15@example.com")["active"] = False

    reports = [stopped.sync(), stopped.sync("--full"), stopped.sync()]

    assert [report["exit_code"] for report in reports] == [3, 3, 3]
    assert "u15@example.com" not in scim.active()


def test_one_person_is_tried_at_once_and_what_is_held_stays_held(stopped: Agent, scim: ScimService) -> None:
    stopped.ldif.write_text(people(32) + group("app-a", *uids(10), "u30", "u31") + group("app-b", "u29"))
    (provision,) = [words for words in commands_under(SINGLE) if "provision" in words]
    assert block_of(DOCUMENT, SINGLE, "sh").startswith("rollcall service stop\n")

    type_in(stopped, [*provision[:-1], "u31@example.com"])

    assert "u31@example.com" in scim.active()
    assert len(scim.membership()["app-a"]) == 32
