"""Whoever moves from one base to another while a domain is read or listed is not taken for somebody who left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from connectors.active_directory import entries
from tests.acceptance.scripted_domain import DomainPlay, begun_play, domain_play, set_the_clock
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ELSEWHERE,
    GROUPS,
    PEOPLE,
    ScriptedActiveDirectory,
    group,
    group_dn,
    person,
    person_dn,
    unit,
)
from tests.servers.scripted_ldap import PAGED_RESULTS, Message, Script, Search

MOVER, ADDRESS = person_dn("mover", ELSEWHERE), "mover@example.com"
APP_ALL = group_dn("app-all")

both_ways = pytest.mark.parametrize("changes", ["dirsync", "usn"])


def with_a_mover() -> ScriptedActiveDirectory:
    """Somebody is in the base that is read last, of those of people."""
    domain = ScriptedActiveDirectory(8)
    domain.add(MOVER, person("mover"))
    domain.join(APP_ALL, MOVER)
    return domain


def stands(play: DomainPlay) -> tuple[bool, bool]:
    return ADDRESS in play.scim.active(), ADDRESS in play.scim.membership()["app-all"]


def after(searching: Callable[[Search], bool], act: Callable[[], object]) -> Script:
    """Let something happen once, right after an answer."""
    happened: list[Search] = []

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if searching(search) and not happened:
            happened.append(search)
            act()
        return honest

    return script


def lists_people(search: Search) -> bool:
    listed = search.attributes == ("objectguid", "usnchanged")
    return search.base == PEOPLE and PAGED_RESULTS in search.controls and listed


def reads_people(search: Search) -> bool:
    return search.base == PEOPLE and PAGED_RESULTS in search.controls and "mail" in search.attributes


@pytest.mark.parametrize("changes", ["dirsync", "usn"])
def test_whoever_moves_while_everybody_is_listed_stays(scim: ScimService, agent: Agent, changes: str) -> None:
    domain = with_a_mover()
    domain.unseen |= domain.tombstones.keys()  # so everybody is listed when something changed
    with domain_play(agent, scim, domain, base_dn=[PEOPLE, ELSEWHERE, GROUPS], changes=changes) as play:
        assert stands(play) == (True, True)
        domain.modify(person_dn("u5"), sn=[b"Later"])

        report = play.cycle(after(lists_people, lambda: domain.move(MOVER, person_dn("mover"))))

        assert MOVER not in domain.entries
        assert report.sources[0]["extent"] == "incremental"
        assert stands(play) == (True, True)


def restore_somebody(domain: ScriptedActiveDirectory) -> None:
    """Which a catch-up does not go on from: the groups the entry is back in are not told."""
    held = domain.entries[person_dn("u7")]
    domain.delete(person_dn("u7"))
    domain.undelete(person_dn("u7"), held)


@pytest.mark.parametrize("what", ["changes are not looked for", "the catch-up is refused", "changes are not told"])
def test_whoever_moves_during_a_full_read_stays_though_nothing_tells_of_it(
    scim: ScimService, agent: Agent, what: str
) -> None:
    changes = {"changes are not looked for": "full", "the catch-up is refused": "dirsync"}.get(what, "usn")
    domain = with_a_mover()
    with domain_play(agent, scim, domain, base_dn=[PEOPLE, ELSEWHERE, GROUPS], changes=changes) as play:
        assert stands(play) == (True, True)
        if what == "changes are not told":
            domain.entries[person_dn("u5")].pop("usnchanged")

        def act() -> None:
            domain.move(MOVER, person_dn("mover"))
            if what == "the catch-up is refused":
                restore_somebody(domain)

        report = play.cycle(after(reads_people, act), full=True)

        assert MOVER not in domain.entries
        assert report.sources[0]["extent"] == "full"
        assert stands(play) == (True, True)
        play.cycle()
        assert stands(play) == (True, True)


@pytest.mark.parametrize("changes", ["dirsync", "usn"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_the_people_of_a_nested_group_that_moves_out_of_sight_stay(
    scim: ScimService, agent: Agent, changes: str, full: bool
) -> None:
    domain, team, moved = ScriptedActiveDirectory(8), group_dn("team"), f"CN=team,{ELSEWHERE}"
    domain.add(team, group("team", person_dn("u1"), person_dn("u2")))
    domain.add(group_dn("app-nested"), group("app-nested", team, person_dn("u4")))
    with begun_play(agent, scim, domain, changes=changes) as play:
        before = play.scim.membership()["app-nested"]
        assert len(before) == 3
        domain.move(team, moved)
        play.cycle(full=full)
        domain.leave(moved, person_dn("u1"))
        play.cycle()

        assert play.scim.membership()["app-nested"] == before
        domain.move(moved, team)
        play.cycle()
        assert play.scim.membership()["app-nested"] == before - {"u1@example.com"}


def test_whoever_leaves_a_group_goes_though_a_nested_group_went_out_of_sight_that_could_not_be_understood(
    scim: ScimService, agent: Agent
) -> None:
    domain, team = ScriptedActiveDirectory(8), group_dn("team")
    domain.add(team, group("team", person_dn("u1")))
    domain.add(group_dn("app-nested"), group("app-nested", team, person_dn("u4"), person_dn("u5")))
    with begun_play(agent, scim, domain) as play:
        sid = domain.entries[team].pop("objectsid")
        domain.modify(team, name=[b"team"])
        assert play.cycle().sources[0]["unreadable"]
        domain.entries[team]["objectsid"] = sid
        domain.move(team, f"CN=team,{ELSEWHERE}")
        domain.leave(group_dn("app-nested"), person_dn("u4"))
        play.cycle()

        assert play.scim.membership()["app-nested"] == {"u1@example.com", "u5@example.com"}


def test_newcomers_during_full_reads_hold_back_no_removals(scim: ScimService, agent: Agent) -> None:
    domain = ScriptedActiveDirectory(8)
    with domain_play(agent, scim, domain, changes="full") as play:
        domain.leave(APP_ALL, person_dn("u3"))
        agent.sections["mapping"] = {"user": {"title": "{title}"}}  # so that everything has to be compared first
        agent.write()

        report = play.cycle(after(reads_people, lambda: domain.add(person_dn("new"), person("new"))))

        assert report.exit_code == 0
        assert "u3@example.com" not in play.scim.membership()["app-all"]


@pytest.mark.parametrize("changes", ["dirsync", "usn"])
def test_whoever_gets_another_primary_group_out_of_sight_is_not_in_the_former_one(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    domain, moved = ScriptedActiveDirectory(8), f"CN=u3,{ELSEWHERE}"
    former = group("app-former")
    domain.add(group_dn("app-former"), former)
    identifier = str(int.from_bytes(bytes(former["objectsid"][0])[-4:], "little")).encode()
    domain.modify(person_dn("u3"), primarygroupid=[identifier])
    with begun_play(agent, scim, domain, changes=changes) as play:
        assert play.scim.membership()["app-former"] == {"u3@example.com"}
        domain.move(person_dn("u3"), moved)
        play.cycle()
        domain.modify(moved, primarygroupid=[b"513"])
        play.cycle()
        domain.move(moved, person_dn("u3"))
        play.cycle()

        assert play.scim.membership()["app-former"] == set()
        assert "u3@example.com" in play.scim.membership()["app-all"]


def test_whoever_expired_by_a_clock_that_was_ahead_is_active_again_when_it_is_right(
    scim: ScimService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = ScriptedActiveDirectory(8)
    for number in range(8):
        domain.entries[person_dn(f"u{number}")]["accountexpires"] = [b"0"]
    next_week = entries.file_time(datetime.now(UTC) + timedelta(days=7))
    domain.entries[person_dn("u3")]["accountexpires"] = [str(next_week).encode()]
    with domain_play(agent, scim, domain, inactive_when=["disabled", "expired"]) as play:
        set_the_clock(monkeypatch, timedelta(days=30))
        play.cycle()
        assert play.scim.active() == {f"u{number}@example.com" for number in range(8) if number != 3}
        set_the_clock(monkeypatch, timedelta(0))

        report = play.cycle()

        assert report.sources[0]["extent"] == "incremental"
        assert play.equal()


# --- containers ---------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("category", ["organizationalUnit", "container"])
def test_a_container_that_is_renamed_leads_to_a_full_read(
    scim: ScimService, agent: Agent, changes: str, category: str
) -> None:
    before, after_it = (f"OU={name},{PEOPLE}" for name in ("Before", "After"))
    domain = ScriptedActiveDirectory(8)
    domain.add(before, unit(before) | {"objectclass": [category.encode()], "objectcategory": [category.encode()]})
    with domain_play(agent, scim, domain, changes=changes) as play:
        domain.move(before, after_it)

        assert play.cycle().sources[0]["extent"] == "full"
        assert play.equal()


@both_ways
def test_what_holds_the_phones_of_a_person_leads_to_no_full_read(scim: ScimService, agent: Agent, changes: str) -> None:
    phones = f"CN=ExchangeActiveSyncDevices,{person_dn('u3')}"
    kind = b"msExchActiveSyncDevices"  # derived from container
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        classes = {"objectclass": [b"top", b"container", kind], "objectcategory": [kind]}
        play.directory.add(phones, unit(phones) | classes)
        play.directory.modify(person_dn("u3"), sn=[b"Later"])

        assert play.cycle().sources[0]["extent"] == "incremental"
        assert play.equal()
