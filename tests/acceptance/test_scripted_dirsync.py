"""DirSync as Windows answers it, in several parts, and as nobody should: no wrong removal, and the reason is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from agent.connection import connect
from agent.directory.mirror import checkpoint_of
from connectors.active_directory import dirsync
from tests.acceptance.scripted_domain import DomainPlay, domain_play
from tests.agent_runner import Agent
from tests.servers.ber import element, integer
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    DELETED_OBJECTS,
    DIRSYNC,
    ELSEWHERE,
    PEOPLE,
    ScriptedActiveDirectory,
    dirsync_cookie,
    dirsync_done,
    extended,
    group_dn,
    guid_of,
    person,
    person_dn,
)
from tests.servers.scripted_ldap import CUT, PAGED_RESULTS, Message, Script, Search, done, found

APP_ALL = group_dn("app-all")

Answer = Callable[[list[Message]], list[Message]]


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[DomainPlay]:
    with domain_play(agent, scim, ScriptedActiveDirectory(11)) as play:
        yield play


def cookies(play: DomainPlay) -> list[bytes]:
    """What the DirSync requests went on from."""
    return [dirsync_cookie(search) for search in play.directory.searches if DIRSYNC in search.controls]


def checkpoint(play: DomainPlay) -> object:
    connection = connect(play.agent.configuration)
    with_fingerprint = connection.sources[0].open()
    return checkpoint_of(play.state, "corp", with_fingerprint.fingerprint(connection.wanted))


def when_going_on(answer: Answer) -> Script:
    """Change every DirSync answer that goes on from a cookie."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        return answer(honest) if DIRSYNC in search.controls and dirsync_cookie(search) else honest

    return script


def from_part(number: int, answer: Answer) -> Script:
    """Change this part of a DirSync answer, counted from 1, and what follows."""
    asked: list[bytes] = []

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if DIRSYNC not in search.controls or not dirsync_cookie(search):
            return honest
        asked.append(dirsync_cookie(search))
        return answer(honest) if len(asked) >= number else honest

    return script


# --- answers in several parts -------------------------------------------------------------------------------------


def test_every_part_of_an_answer_arrives_in_one_cycle(play: DomainPlay) -> None:
    domain = play.directory
    domain.changes_at_once = 2
    begun = len(cookies(play))
    reached = domain.usn
    domain.leave(APP_ALL, person_dn("u1"))
    domain.delete(person_dn("u2"))
    domain.add(person_dn("new"), person("new"))
    domain.modify(person_dn("u3"), sn=[b"Changed"])
    domain.join(APP_ALL, person_dn("new"))
    domain.delete(person_dn("u4"))

    report = play.cycle()

    assert (report.exit_code, report.sources[0]["extent"]) == (0, "incremental")
    assert play.equal()
    assert "Changed" in {user["name"]["familyName"] for user in play.scim.users.values()}
    parts = [str(reached + count).encode() for count in (0, 2, 4)]
    assert cookies(play)[begun:] == parts
    domain.leave(APP_ALL, person_dn("u5"))
    assert play.cycle().exit_code == 0
    assert cookies(play)[begun:] == [*parts, str(reached + 6).encode()]
    assert play.equal()


CUTS: dict[str, tuple[Answer, str, int]] = {
    "cut": (lambda _honest: [CUT], "was lost", 4),
    "cut within": (lambda honest: [honest[0], CUT], "was lost", 4),
    "busy": (lambda _honest: [done(51)], "busy (51)", 4),
    # Then the whole domain is read in the same cycle.
    "refused": (lambda _honest: [done(12)], "unavailableCriticalExtension (12)", 0),
}


def test_an_answer_without_its_last_part_takes_nobody_out(play: DomainPlay) -> None:
    """By the first two parts somebody has left; by the third, the same person is a member again."""
    domain = play.directory
    domain.changes_at_once = 2
    for number, (name, (answer, told, exit_code)) in enumerate(CUTS.items()):
        before, checked, written = play.standing(), checkpoint(play), len(play.scim.writes())
        domain.leave(APP_ALL, person_dn("u0"))
        domain.delete(person_dn(f"u{2 * number + 1}"))
        domain.modify(person_dn("u9"), sn=[f"Changed {number}".encode()])
        domain.leave(APP_ALL, person_dn(f"u{2 * number + 2}"))
        domain.join(APP_ALL, person_dn("u0"))
        domain.add(person_dn(f"new{number}"), person(f"new{number}"))

        report = play.cycle(from_part(3, answer))

        assert report.exit_code == exit_code, name
        assert told in f"{report.sources[0]['note']} {report.sources[0]['reason']}", name
        if exit_code:
            assert report.sentences[0].startswith("source corp: "), name
            assert report.sentences[0].endswith("What was not read stays as it was."), name
            assert (play.standing(), len(play.scim.writes())) == (before, written), name
            assert checkpoint(play) == checked, name
        else:
            assert play.equal(), name
            assert told in play.told()
        assert play.cycle().exit_code == 0, name
        assert play.equal(), name


# --- answers that are not what they should be ---------------------------------------------------------------------


def control(value: bytes) -> Message:
    return done(controls=((DIRSYNC, value),))


def ending(message: Message) -> Answer:
    return lambda honest: [*honest[:-1], message]


READ_ANYHOW, NOT_READ = 0, 4

FAULTS: dict[str, tuple[Answer, str, int]] = {
    "no control": (ending(done()), "did not say how far", READ_ANYHOW),
    "garbage": (ending(control(b"garbage")), "was lost", NOT_READ),
    "an empty control": (ending(control(b"")), "was lost", NOT_READ),
    "half a control": (ending(control(element(0x30, integer(0)))), "was lost", NOT_READ),
    "a number for a cookie": (
        ending(control(element(0x30, integer(0), integer(0), integer(2**50)))), "did not say how far", READ_ANYHOW
    ),
    "an empty cookie": (ending(dirsync_done(b"")), "did not say how far", READ_ANYHOW),
    "more of the same": (ending(dirsync_done(b"1", more=True)), "does not go on", READ_ANYHOW),
    "no objectGUID": (
        lambda honest: [found(f"CN=x,{PEOPLE}", {"name": [b"x"]}), *honest], "without saying of what", READ_ANYHOW
    ),
    "a short objectGUID": (
        lambda honest: [found(f"CN=x,{PEOPLE}", {"objectguid": [b"short"]}), *honest],
        "without saying of what", READ_ANYHOW,
    ),
}  # fmt: skip


def test_an_answer_that_cannot_be_understood_takes_nobody_out(play: DomainPlay) -> None:
    for number, (name, (answer, told, exit_code)) in enumerate(FAULTS.items()):
        before, _ = play.standing()
        play.directory.leave(APP_ALL, person_dn(f"u{number}"))

        report = play.cycle(when_going_on(answer))

        assert report.exit_code == exit_code, name
        assert told in f"{report.sources[0]['note']} {report.sources[0]['reason']}", name
        assert play.equal() if exit_code == READ_ANYHOW else play.scim.membership() == before, name
        if name == "more of the same":
            assert told in play.told()
        assert play.cycle().exit_code == 0, name
        assert play.equal(), name


def test_parts_without_an_end_end_with_a_reason(play: DomainPlay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a new cookie, and nothing in it."""
    monkeypatch.setattr(dirsync, "_PARTS_WITHOUT_NEWS", 20)
    play.directory.leave(APP_ALL, person_dn("u1"))

    def unending(search: Search, honest: list[Message]) -> list[Message]:
        if DIRSYNC not in search.controls:
            return honest
        return [dirsync_done(str(len(play.directory.searches)).encode(), more=True)]

    report = play.cycle(unending)

    assert report.exit_code == 0
    assert "without an end" in play.told()
    assert play.equal()


def test_a_member_whose_name_is_garbage_leaves_the_list_as_it_is_read_anew(play: DomainPlay) -> None:
    play.directory.leave(APP_ALL, person_dn("u1"))
    held = play.directory.entries[APP_ALL]

    def answer(honest: list[Message]) -> list[Message]:
        values = [extended(person_dn("u2"), play.directory.entries[person_dn("u2")]), b"<GUID=\xff\xfe>;=,,="]
        wrong = found(APP_ALL, {"objectguid": held["objectguid"], "member;range=0-0": values})
        return [*honest[:-1], wrong, honest[-1]]

    report = play.cycle(when_going_on(answer))

    assert report.exit_code == 0
    assert play.equal()


def test_a_tombstone_of_somebody_outside_the_bases_takes_nobody_out(play: DomainPlay) -> None:
    play.directory.add(person_dn("far", ELSEWHERE), person("far"))
    play.directory.add(person_dn("new"), person("new"))
    play.cycle()
    play.directory.delete(person_dn("far", ELSEWHERE))

    def answer(honest: list[Message]) -> list[Message]:
        stranger = guid_of("nobody ever heard of")
        tombstone = {"objectguid": [stranger.bytes_le], "isdeleted": [b"TRUE"]}
        return [found(f"CN=s\\0ADEL:{stranger},{DELETED_OBJECTS}", tombstone), *honest]

    report = play.cycle(when_going_on(answer))

    assert (report.exit_code, report.sources[0]["gone"]) == (0, 0)
    assert play.equal()


# --- looking up what was told -------------------------------------------------------------------------------------


def test_a_look_up_that_fails_half_way_loses_nothing(play: DomainPlay) -> None:
    """Whichever of the searches is refused."""
    domain = play.directory
    for number in range(1, 7):
        domain.leave(APP_ALL, person_dn(f"u{number}"))
        domain.modify(person_dn("u8"), sn=[f"Changed {number}".encode()])
        domain.add(person_dn(f"new{number}"), person(f"new{number}"))
        domain.join(APP_ALL, person_dn(f"new{number}"))
        if number == 2:
            domain.delete(person_dn("u9"))
        if number == 4:
            domain.move(person_dn("u10"), person_dn("u10", ELSEWHERE))
        looked_up = 0

        def script(search: Search, honest: list[Message], number: int = number) -> list[Message]:
            nonlocal looked_up
            looked_up += PAGED_RESULTS in search.controls and b"objectGUID" in search.filter[1]
            return [*honest[:-1], done(51)] if looked_up == number else honest

        report = play.cycle(script)

        if report.exit_code:
            assert "busy (51)" in report.sentences[0]
            assert play.expected()["app-all"] - play.scim.membership()["app-all"] <= {f"new{number}@example.com"}
            assert play.cycle().exit_code == 0
        else:
            assert looked_up < number
        assert play.equal(), number


def test_a_read_that_breaks_off_removes_nobody_when_the_sentinel_is_out_of_sight(
    scim: ScimService, agent: Agent
) -> None:
    """Who no longer answers to the filter may only be hidden, like the sentinel; it is looked for whatever happens."""
    with domain_play(agent, scim, ScriptedActiveDirectory(5), sentinel=person_dn("u0")) as play:
        before = play.standing()
        play.directory.modify(person_dn("u1"), sn=[b"Changed"])
        play.directory.modify(ELSEWHERE, name=[b"Elsewhere"])  # so that the units are looked at, too
        busy = True

        def script(search: Search, honest: list[Message]) -> list[Message]:
            if search.base == person_dn("u0"):
                return [done(32)]
            if busy and b"organizationalUnit" in search.filter[1]:
                return [done(51)]
            hidden = b"CN=u1," if b"servicePrincipalName" in search.filter[1] else b"no name"
            return [message for message in honest if hidden not in message.operation]

        reports = [play.cycle(script), play.cycle(script, full=True)]

        assert [report.exit_code for report in reports] == [4, 4]
        assert "busy (51)" in reports[0].sentences[0]
        assert play.standing() == before

        play.cycle()
        play.directory.modify(person_dn("u1"), sn=[b"Changed again"])
        play.directory.add(f"OU=New,{PEOPLE}", {**play.directory.entries[ELSEWHERE], "objectguid": [b"n" * 16]})
        busy = False
        report = play.cycle(script)  # the new unit makes it a full read after all

        assert (report.exit_code, report.sources[0]["extent"]) == (4, "full")
        assert "the sentinel" in play.told()
        assert play.standing() == before
        assert play.cycle().exit_code == 0
        assert play.equal()
