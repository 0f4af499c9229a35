"""After an older state was put back: people of sources that are called otherwise by now, or are not read any more."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest

from agent.directory import second_hand
from tests.acceptance.company import CORP, PARTNERS
from tests.acceptance.forest import ANN, APP_ALL, BEN, HERE, Forest, forest
from tests.acceptance.test_restored_state import OPEN, mails, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.scripted_catalogue import EMEA_PEOPLE
from tests.servers.scripted_ldap import Message

__all__ = ["ready"]

EVERYBODY = people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6))
WITH_NEW = people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6))
EVE = "eve@emea.example"


def renamed(name: str) -> dict[str, str]:
    return CORP | {"name": name}


def back_up(agent: Agent) -> None:
    shutil.rmtree(agent.directory / "backup", ignore_errors=True)
    shutil.copytree(agent.state, agent.directory / "backup")


@pytest.mark.parametrize("when", ["since the back-up", "twice since", "with the restore"])
def test_who_came_since_and_is_gone_is_taken_out_though_the_source_has_another_name(
    ready: Agent, scim: ScimService, when: str
) -> None:
    if when == "twice since":
        ready.configure(scim, renamed("company"), guard=OPEN)
        ready.sync()
    ready.ldif.write_text(WITH_NEW)
    ready.sync()
    if when != "with the restore":
        ready.configure(scim, renamed("head office"), guard=OPEN)
        ready.sync()
    restore(ready)
    if when == "with the restore":
        ready.configure(scim, renamed("head office"), guard=OPEN)
    ready.ldif.write_text(EVERYBODY)

    reports = [ready.sync() for _ in range(3)]

    assert scim.active() == mails(*uids(6))
    assert scim.membership() == {"app-a": mails(*uids(4)), "app-b": mails(*uids(6))}
    assert reports[-1]["notices"] == []


def test_who_came_since_and_is_there_keeps_the_account_though_the_source_has_another_name(
    ready: Agent, scim: ScimService
) -> None:
    now = WITH_NEW + person("two") + group("app-c", "two")
    ready.ldif.write_text(now)
    ready.sync()
    standing, accounts, groups = scim.membership(), set(scim.users), set(scim.groups)
    restore(ready)
    ready.configure(scim, renamed("head office"), guard=OPEN)

    reports = [ready.sync() for _ in range(3)]

    assert (scim.membership(), set(scim.users), set(scim.groups)) == (standing, accounts, groups)
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    assert reports[-1]["notices"] == []
    ready.ldif.write_text(EVERYBODY)
    ready.sync()
    assert scim.active() == mails(*uids(6))
    assert scim.membership()["app-c"] == set()


@pytest.mark.parametrize("in_the_backup", [True, False])
def test_a_source_that_was_taken_out_since_keeps_its_people_and_that_is_told(
    agent: Agent, scim: ScimService, *, in_the_backup: bool
) -> None:
    """Here of a group of its own, of one that the restored state knows, and listed by a group of another source."""
    partners = agent.directory / "partners.ldif"
    agent.configure(scim, CORP, *([PARTNERS] if in_the_backup else []), guard=OPEN)
    agent.ldif.write_text(EVERYBODY)
    for more in (person("p4"), ""):
        partners.write_text(person("p0") + more + group("app-p", "p0"))
        agent.sync()
    back_up(agent)
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    partners.write_text(
        "".join(person(f"p{number}") for number in range(5)) + group("app-p", "p0", "p1") + group("app-q", "p2", "p4")
    )
    agent.ldif.write_text(EVERYBODY + group("app-r", "p3", "u0"))
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN)
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert standing["app-r"] == mails("p3", "u0")
    assert active == mails(*uids(6), *(f"p{number}" for number in range(5)))
    restore(agent)

    reports = [agent.sync() for _ in range(3)]

    assert (scim.membership(), scim.active()) == (standing, active)
    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    for report in reports:
        assert any("of source partners, which is not read any more" in notice for notice in report["notices"])


def test_what_nobody_watches_is_told_until_it_is_gone(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, CORP, guard=OPEN)
    agent.ldif.write_text(EVERYBODY)
    agent.sync()
    back_up(agent)
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    (agent.directory / "partners.ldif").write_text(person("p0") + group("app-p", "p0"))
    agent.sync()
    agent.configure(scim, CORP, guard=OPEN)
    restore(agent)
    scim.faults.append(Fault(lambda request: request.path.split("?")[0].endswith("/Users"), times=1_000, status=500))

    reports = [agent.sync() for _ in range(3)]
    scim.faults.clear()
    reports += [agent.sync() for _ in range(2)]

    for report in reports:
        assert any("2 users and groups of source partners" in notice for notice in report["notices"])
    # An administrator has looked there, and deletes both.
    scim.groups = {number: found for number, found in scim.groups.items() if found["displayName"] != "app-p"}
    scim.users = {number: user for number, user in scim.users.items() if user["userName"] != "p0@example.com"}
    agent.sync("--full")
    assert agent.sync()["notices"] == []
    assert scim.active() == mails(*uids(6))


def test_of_a_source_that_is_read_in_part_under_another_name_nobody_is_taken_for_gone(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, CORP, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(6)[3:]))
    agent.sync()
    back_up(agent)
    agent.ldif.write_text(people(6) + person("new") + group("app-a", *uids(3)) + group("app-b", *uids(6)[3:], "new"))
    agent.sync()
    agent.configure(scim, renamed("half"), guard=OPEN)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.sync()
    standing, active = scim.membership(), scim.active()
    assert active == mails(*uids(6), "new")
    restore(agent)

    for _ in range(3):
        agent.sync()

    assert (scim.membership(), scim.active()) == (standing, active)


def with_eve_since(play: Forest) -> None:
    assert play.cycle().exit_code == 0
    back_up(play.agent)
    play.domain.join(APP_ALL, play.add("eve"))
    assert play.cycle().exit_code == 0
    assert EVE in play.scim.active()
    restore(play.agent)


def test_who_came_since_from_another_domain_and_is_gone_is_taken_out(
    agent: Agent, scim: ScimService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_hand, "BELIEVED_AFTER", timedelta(0))
    with forest(agent, scim, changes="usn") as play:
        with_eve_since(play)
        play.domain.leave(APP_ALL, f"CN=eve,{EMEA_PEOPLE}")
        del play.domain.elsewhere[f"CN=eve,{EMEA_PEOPLE}"]

        for _ in range(3):
            play.cycle()

        assert play.scim.active() == {*HERE, ANN, BEN}
        assert EVE not in play.members()


@pytest.mark.parametrize("trouble", ["does not show her", "is away", "is not asked any more"])
def test_whom_a_group_lists_stays_while_the_catalogue_tells_nothing_of_her(
    agent: Agent, scim: ScimService, trouble: str
) -> None:
    with forest(agent, scim, changes="usn") as play:
        with_eve_since(play)
        members = play.members()
        if trouble == "does not show her":
            play.catalogue.hidden.add(f"CN=eve,{EMEA_PEOPLE}")
        elif trouble == "is away":
            play.catalogue.script = lambda _search, _honest: [Message(cuts=True)]
        else:
            play.agent.sources[0] |= {"global_catalog": False}
            del play.agent.sources[0]["global_catalog_urls"]
            play.agent.write()

        for _ in range(3):
            play.cycle()

        assert EVE in play.scim.active()
        assert play.members() == members
