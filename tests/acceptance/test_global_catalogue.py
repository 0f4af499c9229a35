"""Members in another domain of the forest are looked up in the global catalogue, and are users like any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from agent.directory import second_hand
from tests.acceptance.forest import ANN, APP_ALL, BEN, HERE, Forest, forest
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    group,
    person_dn,
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
