"""After an older state was put back: who has access by groups of a source that is not read any more."""

from __future__ import annotations

import pytest

from tests.acceptance.company import CORP, PARTNERS, THIRD
from tests.acceptance.test_restored_sources import back_up
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.scim_service import ScimService

NOT_READ = "source partners, which is not read any more"


class Restored:
    """Two directories and a third one; the second is taken out after the back-up that is put back."""

    def __init__(self, agent: Agent, scim: ScimService) -> None:
        self.agent, self.scim = agent, scim
        self.partners, self.third = agent.directory / "partners.ldif", agent.directory / "third.ldif"

    def back_up(self, corp: str, partners: str, **sections: dict[str, object]) -> None:
        self.agent.configure(self.scim, CORP, PARTNERS, THIRD, **sections)
        self.agent.ldif.write_text(corp)
        self.partners.write_text(partners)
        self.third.write_text(person("t") + group("app-t", "t"))
        self.agent.sync()
        back_up(self.agent)

    def since(self, corp: str, partners: str | None = None) -> None:
        """Let these stand there today, and put the state back."""
        self.agent.ldif.write_text(corp)
        if partners is not None:
            self.partners.write_text(partners)
        self.agent.sync()
        self.take_out()
        self.agent.sync()
        self.standing, self.active = self.scim.membership(), self.scim.active()
        restore(self.agent)

    def take_out(self) -> None:
        self.agent.sources = [source for source in self.agent.sources if source["name"] != "partners"]
        self.agent.write()

    def nothing_has_changed(self, cycles: int = 3) -> None:
        for _ in range(cycles):
            self.agent.sync()
            assert (self.scim.membership(), self.scim.active()) == (self.standing, self.active)


@pytest.fixture
def play(agent: Agent, scim: ScimService) -> Restored:
    return Restored(agent, scim)


@pytest.mark.parametrize("by", ["a group", "a nested group"])
def test_people_of_a_source_that_is_read_keep_what_they_have_by_it(play: Restored, by: str) -> None:
    """With the limits of the guard as they are without settings."""
    inner = group_dn("inner") if by == "a nested group" else "u0"
    theirs = person("p") + group("inner" if by == "a nested group" else "app-c", "u8", "u9")
    play.back_up(people(10) + group("app-a", *uids(3), inner), theirs)
    play.since(people(10) + person("late") + group("app-a", *uids(4), inner) + group("app-b", "late"))
    assert mails("u8", "u9") <= play.active

    play.nothing_has_changed()

    notices = play.agent.sync()["notices"]
    assert any(NOT_READ in notice for notice in notices) == (by == "a group")


def test_who_has_moved_into_a_group_of_it_since_is_found_there(play: Restored) -> None:
    play.back_up(people(10) + group("app-a", *uids(10)), person("p") + group("app-d", "p"))
    play.since(people(10) + group("app-a", *uids(9)), person("p") + group("app-d", "p", "u9"))
    assert "u9@example.com" in play.active

    play.nothing_has_changed()


def test_who_was_taken_out_of_a_nested_group_of_it_since_is_not_let_in(play: Restored) -> None:
    """Nor while yet another source does not answer."""
    corp = people(10) + group("app-a", *uids(5), group_dn("inner"))
    play.back_up(corp, person("p") + group("inner", "u9", "p"), guard=OPEN)
    play.since(corp, person("p") + group("inner", "p"))
    assert "u9@example.com" not in play.active
    there = play.third.read_text()
    play.third.unlink()

    play.nothing_has_changed(2)
    play.third.write_text(there)
    play.nothing_has_changed(2)


def test_whoever_is_disabled_is_deactivated_though_a_group_of_it_lists_them(play: Restored) -> None:
    play.back_up(people(10) + group("app-a", *uids(3)), person("p") + group("app-c", "u8", "u9"))
    play.since(people(10) + person("late") + group("app-a", *uids(3), "late"))
    disabled = person("u9", extra="nsAccountLock: TRUE\n")
    play.agent.ldif.write_text(people(9) + disabled + person("late") + group("app-a", *uids(3), "late"))

    for _ in range(3):
        play.agent.sync()

    assert play.scim.active() == play.active - mails("u9")


def test_a_group_of_it_keeps_its_name(play: Restored) -> None:
    """Though the name that [mapping] makes of no attribute at all is another one."""
    mapping = {"group_name": "{cn | default(app-unnamed)}"}
    play.back_up(people(5) + group("app-a", *uids(5)), person("p") + group("app-p", "p"), mapping=mapping)
    play.since(people(5) + person("late") + group("app-a", *uids(5), "late"))
    play.third.unlink()

    play.nothing_has_changed()


def test_a_name_that_two_had_in_the_back_up_names_nobody(play: Restored) -> None:
    one, another = "1" * 8, "2" * 8
    play.back_up(
        people(5) + group("app-a", *uids(5), "z"),
        person("z", mail="z@partners.example", anchor=f"{one}-1111-1111-1111-111111111111") + group("app-p", "u1"),
    )
    play.third.write_text(
        person("z", mail="z@third.example", anchor=f"{another}-2222-2222-2222-222222222222") + group("app-t", "u2")
    )
    play.agent.sync()
    back_up(play.agent)
    play.since(people(5) + person("late") + group("app-a", *uids(5), "late", "z"))

    play.nothing_has_changed()


def test_a_group_of_another_former_source_keeps_whom_one_lists_who_seems_to_be_read_elsewhere(play: Restored) -> None:
    """The people of partners are in corp by now, but for one; that one is in a group of the third source."""
    play.back_up(people(5) + group("app-a", *uids(5), "x", "p"), person("p") + person("x"), guard=OPEN)
    play.third.write_text(person("t") + group("app-t", "t", "p"))
    play.agent.sync()
    play.agent.sources = [dict(CORP)]
    play.since(people(5) + person("x") + group("app-a", *uids(5), "x"))
    assert "p@example.com" in play.active

    play.nothing_has_changed()


@pytest.mark.parametrize("theirs", ["p", "u5"])
def test_that_a_group_with_one_of_it_inside_loses_nobody_is_told(play: Restored, theirs: str) -> None:
    """Also where nothing of that source itself stands upstream."""
    inner = group_dn("inner")
    play.back_up(people(6) + group("app-a", *uids(5), inner), person("p") + group("inner", theirs), guard=OPEN)
    play.since(people(6) + person("late") + group("app-a", *uids(5), "late", inner))
    play.agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(3), "late", inner))

    reports = [play.agent.sync() for _ in range(3)]

    assert (play.scim.membership(), play.scim.active()) == (play.standing, play.active)
    assert any(
        f"Nobody is taken out of app-a: {inner} of source partners is inside" in notice
        for notice in reports[-1]["notices"]
    )


def test_whoever_leaves_is_deactivated_though_everything_is_compared_in_every_cycle(play: Restored) -> None:
    play.back_up(people(6) + group("app-a", *uids(6)), person("p") + group("app-p", "p"), guard=OPEN)
    play.since(people(6) + person("late") + group("app-a", *uids(6), "late"))
    for _ in range(2):
        play.agent.sync("--full")
    play.agent.ldif.write_text(people(6) + person("late") + group("app-a", *uids(5), "late"))

    for _ in range(2):
        play.agent.sync("--full")

    assert play.scim.active() == play.active - mails("u5")
