"""Active Directory leaves out what the account may not read, without a word; that is no evidence of anything."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.kept_checkpoint import keep, kept
from tests.acceptance.scripted_domain import DomainPlay, domain_play
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    GROUPS,
    PEOPLE,
    ScriptedActiveDirectory,
    group,
    group_dn,
    person_dn,
)
from tests.servers.scripted_ldap import Message, Script, Search, done, found

LEAVER, ADDRESS = person_dn("u3"), "u3@example.com"
APP_ALL = group_dn("app-all")
DISABLED = b"514"

both_ways = pytest.mark.parametrize("changes", ["dirsync", "usn"])
full_or_not = pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])


@contextmanager
def hidden(domain: ScriptedActiveDirectory, attribute: str, below: str) -> Iterator[None]:
    """The account has no right to read an attribute."""
    taken = {dn: held.pop(attribute) for dn, held in domain.entries.items() if dn.endswith(below) and attribute in held}
    assert taken
    yield
    for dn, values in taken.items():
        domain.entries[dn][attribute] = values


@both_ways
@full_or_not
def test_who_is_disabled_stays_so_when_that_cannot_be_read_any_more(
    scim: ScimService, agent: Agent, changes: str, full: bool
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        play.directory.modify(LEAVER, useraccountcontrol=[DISABLED])
        play.cycle()
        assert ADDRESS not in play.scim.active()
        with hidden(play.directory, "useraccountcontrol", LEAVER):
            play.directory.modify(LEAVER, sn=[b"Later"])
            report = play.cycle(full=full)

        assert ADDRESS not in play.scim.active()
        assert any("userAccountControl" in line for line in report.sources[0]["unreadable"])
        play.directory.modify(LEAVER, useraccountcontrol=[b"512"])
        play.cycle()
        assert play.equal()


@both_ways
@full_or_not
@pytest.mark.parametrize("attribute", ["primarygroupid", "objectsid", "useraccountcontrol"])
def test_people_who_cannot_be_understood_stay_where_they_are(
    scim: ScimService, agent: Agent, changes: str, full: bool, attribute: str
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        before = play.standing()
        with hidden(play.directory, attribute, PEOPLE):
            for number in range(8):
                play.directory.modify(person_dn(f"u{number}"), sn=[b"Later"])
            report = play.cycle(full=full)

        assert play.standing() == before
        assert len(report.sources[0]["unreadable"]) == 8


@both_ways
@full_or_not
def test_members_that_cannot_be_read_any_more_stay(scim: ScimService, agent: Agent, changes: str, full: bool) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        before = play.standing()
        with hidden(play.directory, "member", GROUPS):
            play.directory.modify(APP_ALL, name=[b"app-all"])
            reports = [play.cycle(full=full), play.cycle()]

        assert play.standing() == before
        assert [report.exit_code for report in reports] == [4, 4]
        assert "right to read the property member" in reports[0].sources[0]["reason"]
        play.directory.leave(APP_ALL, LEAVER)
        play.cycle()
        assert play.equal()


@both_ways
def test_a_group_that_is_empty_is_empty(scim: ScimService, agent: Agent, changes: str) -> None:
    domain = ScriptedActiveDirectory(8)
    domain.add(group_dn("app-few"), group("app-few", LEAVER))
    with domain_play(agent, scim, domain, changes=changes) as play:
        play.directory.leave(group_dn("app-few"), LEAVER)

        assert play.cycle(full=True).exit_code == 0
        assert play.scim.membership()["app-few"] == set()


@both_ways
@pytest.mark.parametrize("before", ["seen before", "never seen"])
def test_whoever_is_deleted_out_of_sight_leaves_at_once(
    scim: ScimService, agent: Agent, changes: str, before: str
) -> None:
    domain = ScriptedActiveDirectory(8)
    if before == "never seen":
        domain.unseen |= domain.tombstones.keys()
    with domain_play(agent, scim, domain, changes=changes) as play:
        domain.unseen |= {*domain.tombstones, domain.delete(LEAVER)}

        report = play.cycle()

        assert report.sources[0]["extent"] == "incremental"
        assert play.equal()


@both_ways
def test_whoever_is_deleted_where_only_some_tombstones_are_seen_leaves_within_a_day(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        play.directory.unseen.add(play.directory.delete(LEAVER))
        play.cycle()
        past = kept(agent)
        yesterday = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
        keep(agent, replace(past, position={**past.position, "listed at": yesterday}))
        play.directory.modify(person_dn("u5"), sn=[b"Later"])

        report = play.cycle()

        assert report.sources[0]["extent"] == "incremental"
        assert play.equal()


def test_changes_without_a_number_that_can_be_seen_are_not_missed(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes="usn") as play:
        play.directory.leave(APP_ALL, LEAVER)
        with hidden(play.directory, "usnchanged", ""):
            reports = [play.cycle()]
            play.directory.leave(APP_ALL, person_dn("u4"))
            for held in play.directory.entries.values():
                held.pop("usnchanged", None)
            reports.append(play.cycle())

        assert play.equal()
        assert [report.sources[0]["extent"] for report in reports] == ["full", "full"]


EMPTY = [f"app-empty{number:02}" for number in range(30)]
HIDING = group_dn(EMPTY[20])


def add_empty_groups(domain: ScriptedActiveDirectory, names: list[str]) -> None:
    for name in names:
        domain.add(group_dn(name), group(name))
        del domain.entries[group_dn(name)]["member"]


def searches_of_a_full_read(play: DomainPlay) -> int:
    play.directory.searches.clear()
    assert play.cycle(full=True).exit_code == 0
    return len(play.directory.searches)


def test_many_groups_that_are_empty_cost_a_few_searches(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), page_size=1000) as play:
        add_empty_groups(play.directory, EMPTY[:1])
        one = searches_of_a_full_read(play)
        add_empty_groups(play.directory, EMPTY[1:])

        assert searches_of_a_full_read(play) <= one + 6


@pytest.mark.parametrize("values_at_once", [1500, 2], ids=["whole lists", "lists in ranges"])
@pytest.mark.parametrize("cut", [False, True], ids=["", "of which the rest does not come"])
def test_a_group_that_hides_its_members_is_found_among_many_that_are_empty(
    scim: ScimService, agent: Agent, values_at_once: int, cut: bool
) -> None:
    domain = ScriptedActiveDirectory(8, values_at_once=values_at_once)
    add_empty_groups(domain, EMPTY)

    def script(search: Search, honest: list[Message]) -> list[Message]:
        return [done(32)] if cut and search.attributes[0].startswith("memberof;range=") else honest

    with domain:
        agent.configure(scim, domain.settings(), guard=NO_LIMITS, upstream={"workers": 1})
        with DomainPlay.beginning(agent, domain, scim) as play:
            domain.entries[person_dn("u2")]["memberof"] = [APP_ALL.encode(), GROUPS.encode(), HIDING.encode()]
            report = play.cycle(script, full=True)

    (unreadable,) = report.sources[0]["unreadable"]
    assert HIDING in unreadable
    assert "member cannot be read" in unreadable


# --- who cannot be understood, and until when ---------------------------------------------------------------------


def members_are_named(domain: ScriptedActiveDirectory) -> Script:
    """Somebody says to be member of whatever group is asked about."""
    somebody = person_dn("u1")

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if "memberOf" in repr(search.filter):
            return [found(somebody, {"objectguid": domain.entries[somebody]["objectguid"]}), *honest]
        return honest

    return script


def with_another_group() -> ScriptedActiveDirectory:
    """So that members of a group can be seen, whatever happens to app-all."""
    domain = ScriptedActiveDirectory(8)
    domain.add(group_dn("app-few"), group("app-few", person_dn("u5")))
    return domain


@both_ways
def test_who_cannot_be_understood_is_told_of_after_everybody_was_listed(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    domain = ScriptedActiveDirectory(8)
    domain.unseen |= domain.tombstones.keys()
    with domain_play(agent, scim, domain, changes=changes) as play:
        domain.modify(LEAVER, useraccountcontrol=[DISABLED])
        with hidden(domain, "useraccountcontrol", LEAVER):
            reports = [play.cycle()]
            domain.modify(person_dn("u5"), sn=[b"Later"])
            reports.append(play.cycle())

    assert [len(report.sources[0]["unreadable"]) for report in reports] == [1, 1]


@both_ways
@full_or_not
def test_a_right_that_is_given_back_is_noticed_though_it_leaves_no_trace(
    scim: ScimService, agent: Agent, changes: str, full: bool
) -> None:
    with domain_play(agent, scim, with_another_group(), changes=changes) as play:
        play.directory.modify(LEAVER, useraccountcontrol=[DISABLED])
        play.directory.leave(APP_ALL, person_dn("u4"))
        play.directory.modify(APP_ALL, name=[b"app-all"])
        with hidden(play.directory, "useraccountcontrol", LEAVER), hidden(play.directory, "member", APP_ALL):
            report = play.cycle(members_are_named(play.directory), full=full)

        assert play.cycle().sources[0]["extent"] == "incremental"
        assert len(report.sources[0]["unreadable"]) == 2
        assert play.scim.active() == play.scim.membership()["app-all"] - {ADDRESS}
        assert "u4@example.com" not in play.scim.membership()["app-all"]


def test_a_group_that_hides_its_members_and_changes_during_a_full_read_is_told_of(
    scim: ScimService, agent: Agent
) -> None:
    with domain_play(agent, scim, with_another_group(), changes="dirsync") as play:
        domain, changed = play.directory, False
        members = members_are_named(domain)

        def script(search: Search, honest: list[Message]) -> list[Message]:
            nonlocal changed
            if "memberOf" in repr(search.filter) and not changed:
                changed = True
                domain.modify(APP_ALL, mail=[b"all@example.com"])
            return members(search, honest)

        domain.leave(APP_ALL, LEAVER)
        with hidden(domain, "member", APP_ALL):
            reports = [play.cycle(script, full=True), play.cycle(members)]

        assert [len(report.sources[0]["unreadable"]) for report in reports] == [1, 1]
        play.cycle()
        assert play.equal()


def test_a_group_whose_first_member_comes_while_it_is_read_is_whole_after_the_next_read(
    scim: ScimService, agent: Agent
) -> None:
    domain, empty = ScriptedActiveDirectory(8), group_dn("app-new")
    domain.add(empty, group("app-new"))
    with domain_play(agent, scim, domain, changes="dirsync") as play:
        joined = False

        def script(search: Search, honest: list[Message]) -> list[Message]:
            nonlocal joined
            if "memberOf" in repr(search.filter) and not joined:
                joined = True
                domain.join(empty, person_dn("u1"), person_dn("u2"))
                return members_are_named(domain)(search, honest)
            return honest

        play.cycle(script, full=True)
        play.cycle()
        assert play.equal()
        domain.leave(empty, person_dn("u1"))
        play.cycle()

        assert play.equal()


def test_many_groups_that_hide_their_members_cost_one_search_a_base_in_an_idle_cycle(
    scim: ScimService, agent: Agent
) -> None:
    domain = with_another_group()
    with domain_play(agent, scim, domain, changes="usn") as play:
        play.cycle()
        domain.searches.clear()
        play.cycle()
        idle = len(domain.searches)
        for name in EMPTY:
            domain.add(group_dn(name), group(name, LEAVER))
        play.cycle()
        for name in EMPTY:
            domain.modify(group_dn(name), displayname=[b"Changed"])
        with contextlib.ExitStack() as rights:
            for name in EMPTY:
                rights.enter_context(hidden(domain, "member", group_dn(name)))
            domain.entries[LEAVER]["memberof"] = [group_dn(name).encode() for name in EMPTY]
            assert len(play.cycle().sources[0]["unreadable"]) == 20  # no more are shown
            domain.searches.clear()
            play.cycle()

        assert len(domain.searches) <= idle + 2
