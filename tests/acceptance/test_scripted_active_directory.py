"""A domain controller of Windows sends long answers in pages and long member lists in ranges.

Samba does not, and no server fails in the middle of them when a test wants it to. Nobody is removed wrongly, and
`rollcall status` says why.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.scripted_domain import DomainPlay, domain_play
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ScriptedActiveDirectory,
    group,
    group_dn,
    person,
    person_dn,
)
from tests.servers.scripted_ldap import CUT, PAGED_RESULTS, Message, Script, Search, done, found

PEOPLE = 15
VALUES = 6  # of a list in one answer
APP_ALL = group_dn("app-all")


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[DomainPlay]:
    with domain_play(agent, scim, ScriptedActiveDirectory(PEOPLE, values_at_once=VALUES)) as play:
        yield play


def asked_range(search: Search) -> int | None:
    """The number of the first value that is asked for, when values are."""
    wanted = next((name for name in search.attributes if name.startswith("member;range=")), "")
    return int(wanted.removeprefix("member;range=").partition("-")[0]) if wanted else None


def follow_ups(play: DomainPlay) -> list[int]:
    return [number for search in play.directory.searches if (number := asked_range(search)) is not None]


def when_following(answer: Callable[[int, list[Message]], list[Message]]) -> Script:
    """Change the answers to what is asked after the first range."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        start = asked_range(search)
        return honest if start is None else answer(start, honest)

    return script


# --- member lists in ranges ---------------------------------------------------------------------------------------


def test_a_group_of_four_thousand_is_read_to_its_end(scim: ScimService, agent: Agent) -> None:
    """Most of the accounts are disabled, because it would take a minute to create so many upstream."""
    active = {*range(0, 4000, 100), 1498, 1499, 1500, 2997, 2998, 2999, 3000, 3999}
    directory = ScriptedActiveDirectory(4000)
    for number in set(range(4000)) - active:
        directory.entries[person_dn(f"u{number}")]["useraccountcontrol"] = [b"514"]

    with domain_play(agent, scim, directory, page_size=1000) as play:
        assert play.scim.membership() == {"app-all": {f"u{number}@example.com" for number in active}}
        assert follow_ups(play) == [1499, 2998]


@pytest.mark.slow_proof
def test_all_of_four_thousand_members_arrive(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(4000), page_size=1000) as play:
        assert len(play.scim.membership()["app-all"]) == 4000


def ranged(start: int, end: int | str, *values: bytes) -> list[Message]:
    identity = group("app-all")["objectguid"]
    return [found(APP_ALL, {f"member;range={start}-{end}": values, "objectguid": identity}), done()]


def test_a_range_that_does_not_come_takes_nobody_out_and_brings_in_who_was_seen(play: DomainPlay) -> None:
    listed = play.directory.entries[APP_ALL]

    def some(start: int, count: int) -> list[bytes]:
        return [listed["member"][number % PEOPLE] for number in range(start, start + count)]

    faults: dict[str, tuple[Callable[[int, list[Message]], list[Message]], str]] = {
        "busy": (lambda _start, _honest: [done(51)], "busy (51)"),
        "out of time": (lambda _start, honest: [*honest[:-1], done(3)], "timeLimitExceeded (3)"),
        "cut": (lambda _start, _honest: [CUT], "was lost"),
        "nothing": (lambda _start, _honest: [done()], "did not come"),
        "the group is gone": (lambda _start, _honest: [done(32)], "did not come"),
        "no value": (lambda _start, _honest: [found(APP_ALL, {}), done()], "did not come"),
        "an empty end": (lambda start, _honest: ranged(start, "*"), "did not come"),
        "another range": (lambda start, _honest: ranged(start + 1, "*", *some(start + 1, 3)), "did not come"),
        "the first range": (lambda _start, _honest: ranged(0, VALUES - 1, *some(0, VALUES)), "did not come"),
        "no progress": (lambda start, _honest: ranged(start, start, *some(start, 1)), "came under the range"),
        "too few": (lambda start, _honest: ranged(start, start + 4, *some(start, 2)), "2 of them"),
        "endless": (lambda start, _honest: ranged(start, start + 4, *some(start, 5)), "changed"),
    }
    before = play.scim.membership()["app-all"]
    play.directory.leave(APP_ALL, person_dn("u1"))
    play.directory.add(person_dn("late"), person("late"))
    listed["member"] = [person_dn("late").encode(), *listed["member"]]
    for name, (answer, told) in faults.items():
        report = play.cycle(when_following(answer), full=True)

        assert report.exit_code == 4, name
        assert told in report.sentences[0], name
        assert APP_ALL in report.sentences[0] or name == "cut", name
        assert play.scim.membership() == {"app-all": before | {"late@example.com"}}, name
    assert told in play.told()
    assert play.cycle().exit_code == 0
    assert play.equal()


def test_a_group_that_came_under_another_name_meanwhile_gets_nothing_from_the_one_that_has_its_name_now(
    play: DomainPlay,
) -> None:
    """Walking by the name leads from one group into the other."""
    before, _ = play.standing()
    play.directory.add(person_dn("stranger"), person("stranger"))

    def rename(_start: int, _honest: list[Message]) -> list[Message]:
        if APP_ALL in play.directory.entries:
            play.directory.move(APP_ALL, group_dn("app-former"))
            listed = [person_dn("stranger"), *(person_dn(f"u{number}") for number in range(PEOPLE))]
            play.directory.add(APP_ALL, group("other", *listed))
        return play.directory.honest(play.directory.searches[-1])

    report = play.cycle(when_following(rename), full=True)

    assert report.exit_code == 4
    assert "its name is another entry's now" in play.told()
    assert before["app-all"] <= next(iter(play.scim.membership().values()))
    assert "stranger@example.com" not in next(iter(play.scim.membership().values()))


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        pytest.param(done(4), "sizeLimitExceeded (4)", id="and says that there is more"),
        pytest.param(done(), "no paged results control", id="and says nothing"),
    ],
)
@pytest.mark.parametrize("full", [True, False], ids=["full", "incremental"])
def test_a_server_that_cannot_page_and_sends_its_first_entries_takes_nobody_out(
    play: DomainPlay, ending: Message, told: str, *, full: bool
) -> None:
    """Windows sends so many entries in one answer (MaxPageSize)."""
    play.directory.page_limit = 10
    before = play.standing()
    for number in range(12):
        play.directory.modify(person_dn(f"u{number}"), sn=[b"Changed"])
    play.directory.delete(person_dn("u14"))

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.controls.pop(PAGED_RESULTS, None) is None:
            return honest
        entries = [message for message in play.directory.honest(search) if message.is_entry]
        return [*entries, ending]

    report = play.cycle(script, full=full)

    assert report.exit_code == 4
    assert told in report.sentences[0]
    assert play.standing() == before
    assert play.cycle().exit_code == 0
    assert play.equal()


# --- lists that change while they are read ------------------------------------------------------------------------


def test_a_member_that_moves_up_between_two_ranges_is_not_missed(play: DomainPlay) -> None:
    """Somebody before the first range's end leaves, so the next one begins one member too late."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if asked_range(search) is not None and person_dn("u3").encode() in play.directory.entries[APP_ALL]["member"]:
            play.directory.leave(APP_ALL, person_dn("u3"))
            return play.directory.honest(search)
        return honest

    report = play.cycle(script, full=True)

    assert report.exit_code == 0
    assert play.equal()
    assert len(play.scim.membership()["app-all"]) == PEOPLE - 1


def test_a_list_that_becomes_short_while_it_is_read_is_read_again(play: DomainPlay) -> None:
    def script(search: Search, honest: list[Message]) -> list[Message]:
        if asked_range(search) is None:
            return honest
        for number in range(4, PEOPLE):
            if person_dn(f"u{number}").encode() in play.directory.entries[APP_ALL]["member"]:
                play.directory.leave(APP_ALL, person_dn(f"u{number}"))
        return play.directory.honest(search)

    report = play.cycle(script, full=True)

    assert report.exit_code == 0
    assert play.equal()


def reordered(play: DomainPlay, order: Callable[[int, list[bytes]], list[bytes]]) -> Script:
    """Let the server have its values in another order whenever it is asked for some of them."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        start = asked_range(search)
        if start is None:
            return honest
        listed = play.directory.entries[APP_ALL]
        listed["member"] = order(start, list(listed["member"]))
        return play.directory.honest(search)

    return script


def shuffled(_start: int, members: list[bytes]) -> list[bytes]:
    return random.Random(len(members)).sample(members, len(members))


def turned(_start: int, members: list[bytes]) -> list[bytes]:
    return members[1:] + members[:1]


@pytest.mark.parametrize("order", [shuffled, turned])
def test_a_list_that_never_keeps_its_order_takes_nobody_out(
    play: DomainPlay, order: Callable[[int, list[bytes]], list[bytes]]
) -> None:
    before = play.standing()

    report = play.cycle(reordered(play, order), full=True)

    assert report.exit_code == 4
    assert "changed" in report.sentences[0]
    assert play.standing() == before
    assert len(follow_ups(play)) < 10


def test_values_that_come_twice_betray_an_order_that_changed(play: DomainPlay) -> None:
    """The one that was read last stands where it stood, and behind it are others that had been read."""
    before = play.standing()
    listed = play.directory.entries[APP_ALL]["member"]

    def script(search: Search, honest: list[Message]) -> list[Message]:
        start = asked_range(search)
        return ranged(start, "*", listed[start], *listed[: PEOPLE - start - 1]) if start else honest

    report = play.cycle(script, full=True)

    assert report.exit_code == 4
    assert "changed" in report.sentences[0]
    assert play.standing() == before


def test_a_group_that_changes_while_it_is_read_for_the_first_time_keeps_the_list_it_came_with(
    scim: ScimService, agent: Agent
) -> None:
    """What changed meanwhile comes after it, without the rest of the list."""
    directory = ScriptedActiveDirectory(3)
    directory.add(person_dn("late"), person("late"))

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if "member" in search.attributes and person_dn("late").encode() not in directory.entries[APP_ALL]["member"]:
            directory.join(APP_ALL, person_dn("late"))
        return honest

    directory.script = script
    with domain_play(agent, scim, directory) as play:
        assert play.scim.membership() == {"app-all": {f"{name}@example.com" for name in ("u0", "u1", "u2", "late")}}
