"""After an older state was put back: a source that is not read goes on where it was left when it is there again."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.company import BY_NUMBER, CORP, PARTNERS, entry
from tests.acceptance.test_restored_sources import back_up, renamed
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

HERE = people(5) + group("app-a", *uids(5))
LATER = people(5) + person("late") + group("app-a", *uids(5), "late")
PQR = person("p") + person("q") + person("r") + group("app-d", "p", "q", "r")


def taken_out_since(agent: Agent, scim: ScimService, **sections: dict[str, object]) -> None:
    """Let partners be in the back-up, and not in the settings of today."""
    agent.configure(scim, CORP, PARTNERS, guard=OPEN, **sections)
    agent.ldif.write_text(HERE)
    (agent.directory / "partners.ldif").write_text(PQR)
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(LATER)
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN, **sections)
    agent.sync()
    restore(agent)


@pytest.mark.parametrize("adopt", [True, False])
def test_who_has_left_and_who_has_come_meanwhile_is_found_when_the_source_is_put_back(
    agent: Agent, scim: ScimService, *, adopt: bool
) -> None:
    taken_out_since(agent, scim, upstream={"adopt": adopt})
    for _ in range(2):
        agent.sync()
    (agent.directory / "partners.ldif").write_text(
        person("p") + person("r") + person("new") + group("app-d", "p", "r", "new")
    )
    agent.configure(scim, CORP, PARTNERS, guard=OPEN, upstream={"adopt": adopt})

    reports = [agent.sync() for _ in range(3)]

    assert scim.active() == mails(*uids(5), "late", "p", "r", "new")
    assert scim.membership()["app-d"] == mails("p", "r", "new")
    assert (reports[-1]["exit_code"], reports[-1]["notices"]) == (0, [])


@pytest.mark.parametrize("taken_out", [False, True])
def test_who_has_left_since_is_not_let_in_while_the_source_does_not_answer(
    agent: Agent, scim: ScimService, *, taken_out: bool
) -> None:
    """Nor when it is given up, and taken out of the settings."""
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    agent.ldif.write_text(HERE)
    partners = agent.directory / "partners.ldif"
    partners.write_text(PQR)
    agent.sync()
    back_up(agent)
    partners.write_text(person("p") + person("r") + group("app-d", "p", "r"))
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert "q@example.com" not in active
    restore(agent)
    partners.unlink()

    reports = [agent.sync() for _ in range(2)]
    if taken_out:
        agent.configure(scim, CORP, guard=OPEN)
        reports += [agent.sync() for _ in range(2)]

    assert (scim.membership(), scim.active()) == (standing, active)
    told = "which is not read any more" if taken_out else "of which nothing was read since the state was restored"
    assert any(f"3 users and groups of source partners, {told}" in notice for notice in reports[-1]["notices"])


@pytest.mark.parametrize("back", ["a person", "a group"])
def test_what_was_gone_by_the_back_up_and_has_returned_since_stays(agent: Agent, scim: ScimService, back: str) -> None:
    agent.configure(scim, CORP, PARTNERS)
    agent.ldif.write_text(HERE)
    partners = agent.directory / "partners.ldif"
    without = person("p") + group("app-d", "p") + (person("q") if back == "a group" else "")
    everything = person("p") + person("q") + group("app-d", "p", "q") + group("app-e", "q")
    partners.write_text(everything)
    agent.sync()
    partners.write_text(without)
    agent.sync("--full")
    assert "q@example.com" not in scim.active()
    back_up(agent)
    partners.write_text(everything)
    agent.sync()
    agent.configure(scim, CORP)
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert "q@example.com" in active
    restore(agent)

    for _ in range(3):
        agent.sync()
    agent.sync("--full")

    assert (scim.membership(), scim.active()) == (standing, active)


@pytest.mark.parametrize("leads", ["corp", "partners"])
def test_one_person_of_two_sources_goes_on_in_the_one_that_is_read(agent: Agent, scim: ScimService, leads: str) -> None:
    sources = [CORP, PARTNERS] if leads == "corp" else [PARTNERS, CORP]
    x = entry("x", "7", mail="x@example.com")
    agent.configure(scim, *sources, guard=OPEN, same_person=BY_NUMBER)
    agent.ldif.write_text(people(5) + x + group("app-a", *uids(5), "x"))
    (agent.directory / "partners.ldif").write_text(
        entry("px", "7", mail="x@example.com") + person("p") + group("app-d", "px", "p")
    )
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(5) + x + person("late") + group("app-a", *uids(5), "x", "late"))
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN, same_person=BY_NUMBER)
    agent.sync()
    standing, accounts = scim.membership(), set(scim.users)
    restore(agent)

    reports = [agent.sync() for _ in range(3)]

    assert (scim.membership(), set(scim.users)) == (standing, accounts)
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    agent.ldif.write_text(people(5) + x + person("late") + group("app-a", *uids(5), "late"))
    agent.sync()
    assert "x@example.com" not in scim.membership()["app-a"]


def test_a_leaver_of_a_renamed_source_is_taken_out_though_a_group_of_it_went_too(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, CORP, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(6)) + group("app-b", "u0"))
    agent.sync()
    back_up(agent)
    agent.configure(scim, renamed("head office"), guard=OPEN)
    agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(6), "late") + group("app-b", "u0"))
    agent.sync()
    restore(agent)
    agent.ldif.write_text(people(5) + person("late") + group("app-a", *uids(5), "late"))

    for _ in range(3):
        agent.sync()

    assert scim.active() == mails(*uids(5), "late")
    assert scim.membership()["app-a"] == mails(*uids(5), "late")


def test_an_account_of_a_former_source_that_was_begun_and_never_confirmed_is_told(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, CORP, guard=OPEN)
    agent.ldif.write_text(HERE)
    agent.sync()
    back_up(agent)
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    (agent.directory / "partners.ldif").write_text(person("p") + group("app-d", "p"))
    agent.sync()
    trail = agent.state / "audit.jsonl"
    records = [json.loads(line) for line in trail.read_text().splitlines()]
    cut_off = {"scim_id": None, "result": "interrupted"}
    trail.write_text(
        "".join(
            json.dumps(record | (cut_off if record["verb"].startswith("create") else {})) + "\n" for record in records
        )
    )
    agent.configure(scim, CORP, guard=OPEN)
    restore(agent)

    notices = agent.sync()["notices"]

    assert any("source partners, which is not read any more" in notice for notice in notices)


def test_who_came_since_stays_in_a_group_of_another_source_when_the_own_one_is_given_up(
    agent: Agent, scim: ScimService
) -> None:
    partners = agent.directory / "partners.ldif"
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5), "p"))
    partners.write_text(person("p") + group("other", "p"))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(5) + group("app-a", *uids(5), "p", "new"))
    partners.write_text(person("p") + person("new") + group("other", "p"))
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert "new@example.com" in active
    restore(agent)
    partners.unlink()
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN)

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)
