"""Members in another domain of the forest are looked up in the global catalogue, and are users like any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.directory import second_hand
from agent.state.database import open_state
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ScriptedActiveDirectory,
    group,
    group_dn,
    person_dn,
    unit,
)
from tests.servers.scripted_catalogue import EMEA, EMEA_PEOPLE, ScriptedCatalogue, colleague
from tests.servers.scripted_ldap import CUT, Message, Search, done

APP_ALL = group_dn("app-all")
HERE = {"u0@example.com", "u1@example.com"}
ANN, BEN = "ann@emea.example", "ben@emea.example"


@dataclass
class Forest:
    """An agent that reads the groups of one domain; ann and ben of another one are in app-all."""

    agent: Agent
    scim: ScimService
    domain: ScriptedActiveDirectory
    catalogue: ScriptedCatalogue

    def cycle(self, *, full: bool = False) -> CycleReport:
        state = open_state(self.agent.state)
        try:
            return run_cycle(connect(self.agent.configuration), state, full=full)
        finally:
            state.close()

    def members(self) -> set[str]:
        return self.scim.membership()["app-all"]

    def add(self, name: str, **attributes: Sequence[bytes]) -> str:
        dn, held = colleague(name, **attributes)
        self.domain.elsewhere[dn] = held
        return dn

    def set(self, name: str, **attributes: Sequence[bytes]) -> None:
        self.domain.elsewhere[f"CN={name},{EMEA_PEOPLE}"] |= attributes

    def move(self, name: str, to: str) -> None:
        """Nothing is logged of the groups that list the member: the names of members are not theirs."""
        dn, listed = f"CN={name},{EMEA_PEOPLE}", self.domain.entries[APP_ALL]
        self.domain.elsewhere[to] = self.domain.elsewhere.pop(dn)
        listed["member"] = [to.encode() if value == dn.encode() else value for value in listed["member"]]

    def unknown(self) -> list[tuple[str, int]]:
        rows: list[dict[str, Any]] = self.agent.run("status", "--json").document["unknown_members"]
        return [(row["domain"], row["members"]) for row in rows]


@contextmanager
def forest(agent: Agent, scim: ScimService, **settings: object) -> Iterator[Forest]:
    domain = ScriptedActiveDirectory(2)
    catalogue = ScriptedCatalogue(domain)
    with domain, catalogue:
        forest = Forest(agent, scim, domain, catalogue)
        domain.join(APP_ALL, forest.add("ann"), forest.add("ben"))
        urls = catalogue.settings()["urls"]
        agent.configure(
            scim, domain.settings(global_catalog=True, global_catalog_urls=urls, **settings), guard=NO_LIMITS,
            upstream={"workers": 1}, mapping={"user": {"title": "{title}"}},
        )  # fmt: skip
        yield forest


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


def test_somebody_of_another_domain_comes_with_what_the_catalogue_holds(play: Forest) -> None:
    ann = next(user for user in play.scim.users.values() if user["userName"] == ANN)

    assert (ann["active"], ann["name"]["familyName"], "title" in ann) == (True, "Example", False)
    assert play.unknown() == []
    report = play.cycle()
    assert (report.exit_code, report.sources[0]["extent"], report.counts["writes"]) == (0, "incremental", 0)


def test_newcomers_are_looked_up_in_the_same_read_and_leavers_leave(play: Forest) -> None:
    play.domain.join(APP_ALL, play.add("eve"))
    play.domain.leave(APP_ALL, f"CN=ben,{EMEA_PEOPLE}")

    report = play.cycle()

    assert (report.exit_code, report.sources[0]["extent"]) == (0, "incremental")
    assert play.members() == {*HERE, ANN, "eve@emea.example"}
    assert play.scim.active() == {*HERE, ANN, "eve@emea.example"}


def test_what_changes_there_is_noticed_though_nothing_changes_here(play: Forest) -> None:
    play.set("ann", sn=[b"Married"])
    play.set("ben", useraccountcontrol=[b"514"])

    report = play.cycle()

    assert (report.exit_code, report.sources[0]["extent"]) == (0, "incremental")
    ann = next(user for user in play.scim.users.values() if user["userName"] == ANN)
    assert ann["name"]["familyName"] == "Married"
    assert play.scim.active() == {*HERE, ANN}


def test_who_is_renamed_or_moves_to_a_third_domain_is_the_same_person(play: Forest) -> None:
    play.move("ann", "CN=ann smith,OU=People,DC=apac,DC=corp,DC=test")
    before = set(play.scim.users)

    for full in (False, True):
        report = play.cycle(full=full)
        assert (report.exit_code, report.counts["writes"]) == (0, 0)
    assert play.members() == {*HERE, ANN, BEN}
    assert set(play.scim.users) == before


def test_of_many_people_some_are_looked_at_in_each_cycle_and_all_in_time(
    play: Forest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_hand, "_AT_ONCE", 1)
    play.domain.join(APP_ALL, play.add("eve"), play.add("max"))
    play.cycle()
    for name in ("ann", "ben", "eve", "max"):
        play.set(name, useraccountcontrol=[b"514"])

    left = []
    for _ in range(4):
        assert play.cycle().sources[0]["extent"] == "incremental"
        left.append(len(play.scim.active() - HERE))

    assert left == [3, 2, 1, 0]


def test_people_are_kept_when_the_catalogue_is_asked_no_longer_and_status_says_so(play: Forest) -> None:
    assert "global catalogue: 2 people of other domains" in play.agent.run("status").out
    play.agent.sources[0] |= {"global_catalog": False}
    del play.agent.sources[0]["global_catalog_urls"]
    play.agent.write()

    for full in (False, True):
        assert play.cycle(full=full).exit_code == 0
        assert play.members() == {*HERE, ANN, BEN}
    assert "no source asks the global catalogue any more" in play.agent.run("status").out


@pytest.mark.usefixtures("later")
def test_who_is_deleted_there_goes_when_the_catalogue_misses_them_again(play: Forest) -> None:
    del play.domain.elsewhere[f"CN=ben,{EMEA_PEOPLE}"]
    assert play.cycle().counts["writes"] == 0
    assert play.members() == {*HERE, ANN, BEN}

    report = play.cycle()

    assert report.exit_code == 0
    assert play.members() == {*HERE, ANN}
    assert play.scim.active() == {*HERE, ANN}


@pytest.mark.parametrize("full", [True, False])
def test_who_is_missed_for_a_moment_stays(play: Forest, *, full: bool) -> None:
    """Another catalogue of the forest may not have received them yet."""
    play.catalogue.hidden.add(f"CN=ben,{EMEA_PEOPLE}")

    for _ in range(3):
        report = play.cycle(full=full)
        assert (report.exit_code, report.counts["writes"]) == (0, 0)
    assert play.members() == {*HERE, ANN, BEN}


def unreachable(_search: Search, _honest: list[Message]) -> list[Message]:
    return [CUT]


def busy(_search: Search, _honest: list[Message]) -> list[Message]:
    return [done(51)]


def half(search: Search, honest: list[Message]) -> list[Message]:
    """A first entry, and an error."""
    return [*honest[:1], done(52)] if search.scope else honest


def without_paging(search: Search, honest: list[Message]) -> list[Message]:
    return [done()] if search.scope else honest


def not_ready(search: Search, honest: list[Message]) -> list[Message]:
    return honest if search.scope else [*honest[:0], done()]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("fault", [unreachable, busy, half, without_paging, not_ready])
def test_a_catalogue_that_does_not_answer_loses_nobody_and_is_told_of(play: Forest, fault: Any) -> None:
    play.catalogue.script = fault
    play.domain.modify(person_dn("u0"), sn=[b"Changed"])
    play.domain.join(APP_ALL, play.add("eve"))
    for full in (True, False, True):
        report = play.cycle(full=full)

        assert (report.exit_code, report.sources[0]["completeness"]) == (0, "complete")
        assert "could not be looked up in the global catalogue, and stay as they are" in report.notices[0]
        assert play.members() == {*HERE, ANN, BEN}
        assert play.scim.active() == {*HERE, ANN, BEN}
    assert "could not be looked up in the global catalogue" in play.agent.run("status").out
    assert play.unknown() == [("emea.corp.test", 1)]

    play.catalogue.script = lambda _search, honest: honest
    report = play.cycle()

    assert (report.notices, report.sources[0]["extent"]) == ([], "incremental")
    assert play.members() == {*HERE, ANN, BEN, "eve@emea.example"}


@pytest.mark.usefixtures("later")
def test_a_catalogue_that_shows_nobody_of_the_domain_proves_nothing(play: Forest) -> None:
    """A right was withdrawn, or the domain's replica taken away."""
    play.catalogue.hidden = {dn for dn in play.domain.elsewhere if dn.endswith(EMEA)}

    for full in (True, False, False):
        report = play.cycle(full=full)
        assert (report.exit_code, report.counts["writes"]) == (0, 0)
    assert play.members() == {*HERE, ANN, BEN}
    assert "it shows nobody of dc=emea,dc=corp,dc=test" in report.notices[0]


def test_an_account_whose_state_cannot_be_read_stays_as_it_was(play: Forest) -> None:
    play.set("ben", useraccountcontrol=[b"514"])
    del play.domain.elsewhere[f"CN=ben,{EMEA_PEOPLE}"]["useraccountcontrol"]  # type: ignore[attr-defined]

    report = play.cycle()

    assert (report.exit_code, report.counts["writes"]) == (0, 0)
    assert "its userAccountControl cannot be read" in report.notices[0]
    assert BEN in play.scim.active()


def test_what_is_no_person_stays_unknown(play: Forest) -> None:
    """Of a group in another domain the catalogue does not tell the members."""
    team = f"CN=team,OU=Groups,{EMEA}"
    play.domain.elsewhere[team] = group("team", f"CN=ann,{EMEA_PEOPLE}")
    service = play.add("backup", serviceprincipalname=[b"backup/host"])
    play.domain.join(APP_ALL, team, service)

    for full in (False, True):
        report = play.cycle(full=full)
        assert (report.exit_code, report.sources[0]["completeness"]) == (0, "complete")
        assert play.members() == {*HERE, ANN, BEN}
        assert play.unknown() == [("emea.corp.test", 2)]


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
