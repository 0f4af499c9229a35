"""After an older state was put back: what another entry has taken over since the back-up."""

from __future__ import annotations

import pytest

from tests.acceptance.company import CORP, PARTNERS
from tests.acceptance.test_restored_sources import back_up
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

HERE = people(6) + group("app-a", *uids(6))
ANOTHER = "33333333-1111-1111-1111-111111111111"


def reads(agent: Agent, corp: str, partners: str, cycles: int = 2) -> None:
    agent.ldif.write_text(corp)
    (agent.directory / "partners.ldif").write_text(partners)
    for _ in range(cycles):
        agent.sync()


def without_partners(agent: Agent, scim: ScimService) -> None:
    """Partners is not in the settings of today, and the state is an older one."""
    agent.configure(scim, CORP, guard=OPEN)
    agent.sync()
    restore(agent)
    for _ in range(2):
        agent.sync()


@pytest.fixture
def play(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, CORP, PARTNERS, guard=OPEN)
    return agent


def test_a_group_is_its_new_owner_s(play: Agent, scim: ScimService) -> None:
    reads(play, HERE, person("p") + group("app-d", "p") + group("app-p", "p"))
    back_up(play)
    reads(play, HERE, person("p") + group("app-p", "p"))
    reads(play, HERE + group("app-d", "u1", anchor=ANOTHER), person("p") + group("app-p", "p"))
    without_partners(play, scim)
    play.ldif.write_text(HERE + group("app-d", "u2", anchor=ANOTHER))

    report = [play.sync() for _ in range(2)][-1]

    assert scim.membership()["app-d"] == mails("u2")
    assert report["exit_code"] == 0


def test_an_account_is_its_new_owner_s(play: Agent, scim: ScimService) -> None:
    with_m = people(6) + person("m", anchor=ANOTHER) + group("app-a", *uids(6), "m")
    reads(play, HERE, person("p") + person("m") + group("app-p", "p", "m"))
    back_up(play)
    reads(play, HERE, person("p") + group("app-p", "p"))
    reads(play, with_m, person("p") + group("app-p", "p"))
    without_partners(play, scim)
    play.ldif.write_text(with_m + group("app-n", "m"))

    report = [play.sync() for _ in range(2)][-1]

    assert scim.membership()["app-n"] == mails("m")
    assert report["exit_code"] == 0


def test_a_group_that_got_another_name_leaves_its_old_one_to_another(play: Agent, scim: ScimService) -> None:
    reads(play, HERE, person("p") + group("app-d", "p"))
    back_up(play)
    renamed = person("p") + group("app-d", "p").replace("app-d", "app-x")
    reads(play, HERE, renamed)
    reads(play, HERE + group("app-d", "u1", anchor=ANOTHER), renamed)
    without_partners(play, scim)
    play.ldif.write_text(HERE + group("app-d", "u1", "u2", anchor=ANOTHER))

    report = [play.sync() for _ in range(2)][-1]

    assert scim.membership()["app-d"] == mails("u1", "u2")
    assert report["exit_code"] == 0


def test_who_came_back_and_left_again_since_is_gone(play: Agent, scim: ScimService) -> None:
    with_m, without = person("p") + person("m") + group("app-p", "p", "m"), person("p") + group("app-p", "p")
    reads(play, HERE, with_m, 1)
    reads(play, HERE, without)
    back_up(play)
    reads(play, HERE, with_m)
    reads(play, HERE, without)
    assert "m@example.com" not in scim.active()
    without_partners(play, scim)
    play.ldif.write_text(people(6) + person("m", anchor=ANOTHER) + group("app-a", *uids(6), "m"))

    for _ in range(2):
        play.sync()

    assert "m@example.com" in scim.membership()["app-a"]
