"""What no real directory server can be made to do in a full read: nobody is removed, and `rollcall status` says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.acceptance.scripted_directory import CODES, EVERYBODY, PEOPLE, UNKNOWN, DirectoryPlay, directory_play
from tests.agent_runner import Agent
from tests.ldif_text import group_dn, person_dn, uids
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import (
    CUT,
    NOTICE_OF_DISCONNECTION,
    Message,
    Script,
    ScriptedLdap,
    Search,
    done,
    found,
    group,
    page_end,
    reference,
)


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[DirectoryPlay]:
    with directory_play(agent, scim, ScriptedLdap(PEOPLE)) as play:
        yield play


def at_page(number: int, change: Script) -> Script:
    """Change the page of people and groups that begins with this entry."""
    return lambda search, honest: change(search, honest) if search.reads and search.page == number else honest


@pytest.mark.parametrize("page", [0, 10, 20])
def test_no_result_code_on_any_page_removes_anybody(play: DirectoryPlay, page: int) -> None:
    play.lose("u25")
    for code in CODES:
        ending = done(code, referral="ldap://elsewhere.example/" if code == 10 else "")
        report = play.cycle(at_page(page, lambda _search, honest, ending=ending: [*honest[:-1], ending]), full=True)

        assert report.exit_code == 4, code
        told = "there is no dc=example" if code == 32 else f"unknown result {code}" if code in UNKNOWN else f"({code})"
        assert told in report.sentences[0], code
        assert play.nobody_lost_anything(), code
    status = play.agent.run("status")

    assert status.code == 4
    assert "the unknown result 12345" in status.out


@pytest.mark.parametrize("page", [0, 10, 20])
def test_a_connection_cut_anywhere_in_a_page_removes_nobody(play: DirectoryPlay, page: int) -> None:
    play.lose("u25")
    for number in range(11):
        report = play.cycle(at_page(page, lambda _search, honest, n=number: [*honest[:n], CUT]), full=True)

        assert report.exit_code == 4, number
        assert play.nobody_lost_anything(), number

    assert "was lost" in play.agent.run("status").out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda _s, honest: [*honest[:-1], done()], "no paged results control", id="no paging control"),
        pytest.param(lambda _s, honest: [*honest[:3], NOTICE_OF_DISCONNECTION, CUT], "was lost", id="notice"),
        pytest.param(lambda _s, honest: [*honest[:3], Message(raw=b"\x30\x03\x02\x01"), CUT], "was lost", id="cut BER"),
        pytest.param(lambda _s, honest: [*honest[:3], Message(raw=b"garbage\xff" * 9), CUT], "was lost", id="garbage"),
        pytest.param(
            lambda _s, honest: [*honest[:3], Message(raw=b"\x30\x84\x7f\xff\xff\xff"), CUT],
            "was lost",
            id="huge length",
        ),
        pytest.param(lambda _s, honest: [*honest[:3], replace(honest[3], waits=5.0), CUT], "was lost", id="silence"),
        pytest.param(
            lambda _s, honest: [reference("ldap://elsewhere.example/ou=More"), *honest],
            "another server",
            id="reference",
        ),
        pytest.param(lambda _s, _honest: [done(controls=page_end(b"20"))], "empty pages", id="endless empty pages"),
    ],
)
def test_a_page_that_is_not_what_it_should_be_removes_nobody(play: DirectoryPlay, change: Script, told: str) -> None:
    play.lose("u25")
    report = play.cycle(at_page(20, change), full=True)
    status = play.agent.run("status")

    assert report.exit_code == status.code == 4
    assert told in status.out
    assert play.nobody_lost_anything()


def test_a_removal_that_waited_comes_with_the_first_read_that_is_whole(play: DirectoryPlay) -> None:
    play.lose("u25")
    play.cycle(at_page(20, lambda _search, honest: [*honest[:-1], done(51)]), full=True)

    report = play.cycle()

    assert report.exit_code == 0
    assert play.scim.active() == EVERYBODY - {"u25@example.com"}


@pytest.mark.parametrize(
    ("attribute", "told"),
    [("mail", "mail is not valid UTF-8"), ("cn", "cn is not valid UTF-8"), ("uid", "uid is not valid UTF-8")],
)
def test_broken_text_in_one_entry_keeps_it_and_holds_up_nobody_else(
    play: DirectoryPlay, attribute: str, told: str
) -> None:
    play.directory.entries[person_dn("u5")][attribute] = [b"u5 \xff\xfe@example.com"]
    play.directory.entries[person_dn("u6")]["sn"] = [b"Changed"]

    report = play.cycle(full=True)

    assert report.exit_code == 1
    assert play.nobody_lost_anything()
    assert {user["name"]["familyName"] for user in play.scim.users.values()} == {"Example", "Changed"}
    assert told in play.agent.run("status").out


def test_broken_text_in_a_name_keeps_who_bears_it(play: DirectoryPlay) -> None:
    held = play.directory.entries[person_dn("u5")]

    def broken(_search: Search, honest: list[Message]) -> list[Message]:
        name = person_dn("u5").encode().replace(b"u5", b"u5\xff")
        return [found(name, held) if person_dn("u5").encode() in item.operation else item for item in honest]

    play.cycle(at_page(0, broken), full=True)

    assert play.nobody_lost_anything()


def test_a_member_whose_name_is_broken_leaves_the_list_unproven(play: DirectoryPlay) -> None:
    held = play.directory.entries[group_dn("app-all")]
    held["member"] = [value.replace(b"u5,", b"u5\xff,") for value in held["member"] if b"u7," not in value]

    play.cycle(full=True)

    assert play.nobody_lost_anything()


def test_a_huge_attribute_is_read_like_any_other(play: DirectoryPlay) -> None:
    play.directory.entries[person_dn("u5")]["cn"] = [b"x" * 20_000_000]

    report = play.cycle(full=True)

    assert report.exit_code == 0
    assert play.nobody_lost_anything()


def in_ranges(play: DirectoryPlay, size: int, follow_up: Script | None = None) -> Script:
    """Send the members `size` at a time; `follow_up` may spoil what is asked for afterwards."""
    held = play.directory.entries[group_dn("app-all")]
    members = list(held["member"])

    def part(start: int, *, first: bool) -> Message:
        last = "*" if start + size >= len(members) else str(start + size - 1)
        rest = {key: value for key, value in held.items() if key != "member"} if first else {}
        some = {f"member;range={start}-{last}": members[start : start + size]}
        return found(group_dn("app-all"), rest | some)

    def script(search: Search, honest: list[Message]) -> list[Message]:
        wanted = next((name for name in search.attributes if name.startswith("member;range=")), "")
        if wanted:
            start = int(wanted.removeprefix("member;range=").partition("-")[0])
            answer = [part(start, first=False), done()]
            return list(follow_up(search, answer)) if follow_up is not None else answer
        name = group_dn("app-all").encode()
        return [part(0, first=True) if item.is_entry and name in item.operation else item for item in honest]

    return script


def test_members_in_ranges_are_read_to_the_end(play: DirectoryPlay) -> None:
    held = play.directory.entries[group_dn("app-all")]
    held["member"] = [value for value in held["member"] if b"u7," not in value]

    report = play.cycle(in_ranges(play, 7), full=True)

    assert report.exit_code == 0
    assert play.scim.membership() == {"app-all": EVERYBODY - {"u7@example.com"}}


@pytest.mark.parametrize(
    ("follow_up", "told"),
    [
        pytest.param(lambda _s, _h: [done(51)], "busy (51)", id="busy"),
        pytest.param(lambda _s, _h: [done(32)], "did not come", id="the group is gone"),
        pytest.param(lambda _s, _h: [done()], "did not come", id="nothing"),
        pytest.param(
            lambda _s, _h: [found(group_dn("app-all"), {"cn": [b"app-all"]}), done()], "did not come", id="no range"
        ),
        pytest.param(
            lambda s, _h: [found(group_dn("app-all"), {s.attributes[0].replace("*", "3"): [b"uid=x"]}), done()],
            "came under the range",
            id="backwards",
        ),
        pytest.param(lambda _s, _h: [CUT], "was lost", id="cut"),
    ],
)
def test_a_range_that_cannot_be_walked_to_its_end_removes_no_member(
    play: DirectoryPlay, follow_up: Script, told: str
) -> None:
    held = play.directory.entries[group_dn("app-all")]
    held["member"] = [value for value in held["member"] if b"u7," not in value]

    report = play.cycle(in_ranges(play, 7, follow_up), full=True)
    status = play.agent.run("status")

    assert report.exit_code == status.code == 4
    assert told in status.out
    assert play.nobody_lost_anything()


def test_the_scripted_server_answers_honestly_when_nothing_else_is_asked_of_it(play: DirectoryPlay) -> None:
    play.directory.entries[group_dn("app-all")] = group("app-all", *uids(PEOPLE - 1))
    play.directory.csn(2)

    before, idle = len(play.directory.searches), play.cycle(full=True)

    assert idle.exit_code == 0
    assert len(play.directory.searches) > before
    assert play.scim.membership() == {"app-all": EVERYBODY - {f"u{PEOPLE - 1}@example.com"}}
