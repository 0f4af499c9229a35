"""People of the global catalogue, and sources that read their domain or ask for the same people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from agent.directory import second_hand
from tests.acceptance.forest import ANN, APP_ALL, BEN, HERE, Forest, forest
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ScriptedActiveDirectory,
    group,
    group_dn,
    unit,
)
from tests.servers.scripted_catalogue import EMEA, EMEA_PEOPLE
from tests.servers.scripted_ldap import CUT, Message, Search, done


@pytest.fixture(params=["dirsync", "usn"])
def play(request: pytest.FixtureRequest, agent: Agent, scim: ScimService) -> Iterator[Forest]:
    with forest(agent, scim, changes=request.param) as play:
        assert play.cycle().exit_code == 0
        assert play.members() == {*HERE, ANN, BEN}
        yield play


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was missed in the catalogue is believed when it is missed again."""
    monkeypatch.setattr(second_hand, "BELIEVED_AFTER", timedelta(0))


def unreachable(_search: Search, _honest: list[Message]) -> list[Message]:
    return [CUT]


def busy(_search: Search, _honest: list[Message]) -> list[Message]:
    return [done(51)]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("place", [0, 1], ids=["read first", "read last"])
def test_a_source_of_its_own_takes_the_same_people_over_and_gives_them_back(play: Forest, place: int) -> None:
    other = ScriptedEmea(play)
    before = {key: user["userName"] for key, user in play.scim.users.items()}
    with other:
        emea = other.settings(name="emea", base_dn=[EMEA_PEOPLE])
        play.agent.sources.insert(place, emea)
        play.agent.write()
        for full in (False, False, True, False):
            report = play.cycle(full=full)
            assert report.exit_code == 0
            assert play.members() == {*HERE, ANN, BEN}
        assert {key: user["userName"] for key, user in play.scim.users.items()} == before
        ann = next(user for user in play.scim.users.values() if user["userName"] == ANN)
        assert ann["title"] == "Engineer"

        # From now on the source alone tells.
        play.catalogue.hidden.add(f"CN=ann,{EMEA_PEOPLE}")
        other.modify(f"CN=ann,{EMEA_PEOPLE}", sn=[b"Married"])
        other.modify(f"CN=ben,{EMEA_PEOPLE}", useraccountcontrol=[b"514"])
        for _ in range(3):
            play.cycle()
        ann = next(user for user in play.scim.users.values() if user["userName"] == ANN)
        assert ann["name"]["familyName"] == "Married"
        assert play.scim.active() == {*HERE, ANN}
        other.modify(f"CN=ben,{EMEA_PEOPLE}", useraccountcontrol=[b"512"])
        play.cycle()
        assert play.scim.active() == {*HERE, ANN, BEN}

        play.catalogue.hidden.clear()
        play.agent.sources.remove(emea)
        play.agent.write()
        for full in (False, False, True):
            assert play.cycle(full=full).exit_code == 0
            assert play.members() == {*HERE, ANN, BEN}
    assert {key: user["userName"] for key, user in play.scim.users.items()} == before


def test_whoever_the_source_of_their_own_domain_does_not_have_goes_though_the_catalogue_shows_them(
    play: Forest,
) -> None:
    """It may not know yet that somebody was deleted; and who lies outside of the base is not to come in by it."""
    play.add("eve")
    other = ScriptedEmea(play)
    with other:
        play.agent.sources.append(other.settings(name="emea", base_dn=[EMEA_PEOPLE]))
        play.agent.write()
        play.cycle()
        other.delete(f"CN=ben,{EMEA_PEOPLE}")
        other.move(f"CN=ann,{EMEA_PEOPLE}", f"CN=ann,{EMEA}")
        for full in (False, False, True):
            assert play.cycle(full=full).exit_code == 0
            assert play.members() == HERE
            assert play.scim.active() == HERE


def test_whoever_is_outside_of_the_base_of_a_new_source_goes_when_that_was_read(play: Forest) -> None:
    other = ScriptedEmea(play)
    staff = f"OU=Staff,{EMEA}"
    other.add(staff, unit(staff))
    other.move(f"CN=ann,{EMEA_PEOPLE}", f"CN=ann,{staff}")
    play.move("ann", f"CN=ann,{staff}")
    with other:
        other.script = busy
        play.agent.sources.append(other.settings(name="emea", base_dn=[staff]))
        play.agent.write()
        assert play.cycle().exit_code == 4
        assert play.members() == {*HERE, ANN, BEN}
        other.script = lambda _search, honest: honest
        for _ in range(3):
            assert play.cycle().exit_code == 0
    assert play.members() == {*HERE, ANN}


class ScriptedEmea(ScriptedActiveDirectory):
    """A domain controller of the other domain: it holds the people that the catalogue shows of it."""

    def __init__(self, play: Forest) -> None:
        super().__init__(0)
        self.root["namingcontexts"] = [*self.root["namingcontexts"], EMEA.encode()]
        for dn, held in {**play.domain.elsewhere, EMEA_PEOPLE: unit(EMEA_PEOPLE)}.items():
            self.add(dn, held)


def test_two_sources_that_ask_for_the_same_person_have_one(agent: Agent, scim: ScimService) -> None:
    with forest(agent, scim) as play:
        third = ScriptedActiveDirectory(0)
        third.elsewhere = play.domain.elsewhere
        del third.entries[APP_ALL]
        third.add(group_dn("app-third"), group("app-third", f"CN=ann,{EMEA_PEOPLE}"))
        with third:
            urls = play.catalogue.settings()["urls"]
            agent.sources.append(third.settings(name="third", global_catalog=True, global_catalog_urls=urls))
            agent.write()
            for full in (False, False, True):
                assert play.cycle(full=full).exit_code == 0
                assert scim.membership()["app-third"] == {ANN}
                assert play.members() == {*HERE, ANN, BEN}
            play.domain.leave(APP_ALL, f"CN=ann,{EMEA_PEOPLE}")
            for full in (False, True):
                play.cycle(full=full)
                assert scim.membership()["app-third"] == {ANN}
                assert play.members() == {*HERE, BEN}
    assert sorted(user["userName"] for user in scim.users.values()).count(ANN) == 1


def test_a_catalogue_that_does_not_answer_the_first_time_holds_back_nothing_but_its_people(
    agent: Agent, scim: ScimService
) -> None:
    with forest(agent, scim) as play:
        play.catalogue.script = unreachable
        report = play.cycle()
        assert (report.exit_code, play.members(), play.unknown()) == (0, HERE, [("emea.corp.test", 2)])

        play.catalogue.script = lambda _search, honest: honest
        report = play.cycle()
        assert (report.exit_code, report.sources[0]["extent"]) == (0, "incremental")
        assert play.members() == {*HERE, ANN, BEN}


def test_nobody_is_asked_unless_the_settings_say_so(agent: Agent, scim: ScimService) -> None:
    with forest(agent, scim) as play:
        agent.sources = [play.domain.settings()]
        agent.write()
        play.cycle()

        assert (play.members(), play.catalogue.searches) == (HERE, [])
        remedy = agent.run("status", "--json").document["unknown_members"][0]["remedy"]
        assert remedy == (
            "add a source for emea.corp.test, or set global_catalog = true in source corp, if that is a domain of the "
            "same forest"
        )
