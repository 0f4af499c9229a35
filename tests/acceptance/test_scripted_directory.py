"""What no real directory server can be made to do: nobody is removed, and `rollcall status` says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from threading import Event

import pytest

from agent.connection import connect
from agent.directory.mirror import checkpoint_of
from connectors.base import Watching
from connectors.errors import SourceError
from tests.acceptance.scripted_play import ScriptedPlay
from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, group_dn, person_dn, uids
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import (
    ADD,
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
    person,
    phase_ended,
    reference,
    sync_done,
    sync_ids,
    sync_info,
    sync_state,
)

PEOPLE = 30
EVERYBODY = {f"{uid}@example.com" for uid in uids(PEOPLE)}
# RFC 4511, 4.1.9, RFC 2696 and RFC 4533; numbers that nobody has given a meaning, too
CODES = [*range(1, 5), 7, 8, *range(10, 15), *range(16, 22), *range(32, 37), *range(48, 55), *range(64, 72), 80]
CODES += [118, 120, 4096, 12345]
UNKNOWN = {35, 70, 12345}
NEW = b"rid=000,csn=20261125070000.000002Z#000000#000#000000"
ANCHORS = [anchor_of(uid) for uid in uids(PEOPLE)] + [anchor_of("group app-all")]
PERSON_0 = person("u0")


class Play(ScriptedPlay[ScriptedLdap]):
    """With a directory of PEOPLE, who are all in one group."""

    def lose(self, uid: str) -> None:
        """The person is gone, and the group still lists it: whoever believes in absence takes the access away."""
        del self.directory.entries[person_dn(uid)]

    def nobody_lost_anything(self) -> bool:
        return self.scim.active() == EVERYBODY and self.scim.membership() == {"app-all": EVERYBODY}


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[Play]:
    with ScriptedLdap(PEOPLE) as directory:
        agent.configure(scim, directory.settings(), guard={"users_share": "100%", "members_share": "100%"})
        with Play.beginning(agent, directory, scim) as play:
            assert play.nobody_lost_anything()
            yield play


def at_page(number: int, change: Script) -> Script:
    """Change the page of people and groups that begins with this entry."""
    return lambda search, honest: change(search, honest) if search.reads and search.page == number else honest


def when_synchronising(*messages: Message) -> Script:
    return lambda search, honest: messages if search.synchronises else honest


# --- full reads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [0, 10, 20])
def test_no_result_code_on_any_page_removes_anybody(play: Play, page: int) -> None:
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
def test_a_connection_cut_anywhere_in_a_page_removes_nobody(play: Play, page: int) -> None:
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
def test_a_page_that_is_not_what_it_should_be_removes_nobody(play: Play, change: Script, told: str) -> None:
    play.lose("u25")
    report = play.cycle(at_page(20, change), full=True)
    status = play.agent.run("status")

    assert report.exit_code == status.code == 4
    assert told in status.out
    assert play.nobody_lost_anything()


def test_a_removal_that_waited_comes_with_the_first_read_that_is_whole(play: Play) -> None:
    play.lose("u25")
    play.cycle(at_page(20, lambda _search, honest: [*honest[:-1], done(51)]), full=True)

    report = play.cycle()

    assert report.exit_code == 0
    assert play.scim.active() == EVERYBODY - {"u25@example.com"}


@pytest.mark.parametrize(
    ("attribute", "told"),
    [("mail", "mail is not valid UTF-8"), ("cn", "cn is not valid UTF-8"), ("uid", "uid is not valid UTF-8")],
)
def test_broken_text_in_one_entry_keeps_it_and_holds_up_nobody_else(play: Play, attribute: str, told: str) -> None:
    play.directory.entries[person_dn("u5")][attribute] = [b"u5 \xff\xfe@example.com"]
    play.directory.entries[person_dn("u6")]["sn"] = [b"Changed"]

    report = play.cycle(full=True)

    assert report.exit_code == 1
    assert play.nobody_lost_anything()
    assert {user["name"]["familyName"] for user in play.scim.users.values()} == {"Example", "Changed"}
    assert told in play.agent.run("status").out


def test_broken_text_in_a_name_keeps_who_bears_it(play: Play) -> None:
    held = play.directory.entries[person_dn("u5")]

    def broken(_search: Search, honest: list[Message]) -> list[Message]:
        name = person_dn("u5").encode().replace(b"u5", b"u5\xff")
        return [found(name, held) if person_dn("u5").encode() in item.operation else item for item in honest]

    play.cycle(at_page(0, broken), full=True)

    assert play.nobody_lost_anything()


def test_a_member_whose_name_is_broken_leaves_the_list_unproven(play: Play) -> None:
    held = play.directory.entries[group_dn("app-all")]
    held["member"] = [value.replace(b"u5,", b"u5\xff,") for value in held["member"] if b"u7," not in value]

    play.cycle(full=True)

    assert play.nobody_lost_anything()


def test_a_huge_attribute_is_read_like_any_other(play: Play) -> None:
    play.directory.entries[person_dn("u5")]["cn"] = [b"x" * 20_000_000]

    report = play.cycle(full=True)

    assert report.exit_code == 0
    assert play.nobody_lost_anything()


# --- attributes in ranges -----------------------------------------------------------------------------------------


def in_ranges(play: Play, size: int, follow_up: Script | None = None) -> Script:
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


def test_members_in_ranges_are_read_to_the_end(play: Play) -> None:
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
def test_a_range_that_cannot_be_walked_to_its_end_removes_no_member(play: Play, follow_up: Script, told: str) -> None:
    held = play.directory.entries[group_dn("app-all")]
    held["member"] = [value for value in held["member"] if b"u7," not in value]

    report = play.cycle(in_ranges(play, 7, follow_up), full=True)
    status = play.agent.run("status")

    assert report.exit_code == status.code == 4
    assert told in status.out
    assert play.nobody_lost_anything()


# --- content synchronisation --------------------------------------------------------------------------------------


def test_no_result_code_of_a_synchronisation_removes_anybody(play: Play) -> None:
    """Busy is tried again; everything else leads to a full read, which finds everybody."""
    reached = 1
    for code in CODES:
        reached += 1
        play.directory.csn(reached)
        ending = done(code, sync_done(NEW), diagnostic="made up", referral="ldap://e.example/" if code == 10 else "")
        report = play.cycle(when_synchronising(sync_ids(*ANCHORS[:5]), ending))
        (source,) = report.sources

        if report.exit_code == 0:
            assert (source["extent"], f"({code})" in str(source["note"])) == ("full", True), code
        else:
            assert code in {32, 51, 52, 53} | UNKNOWN, code
            assert report.exit_code == 4
        assert play.nobody_lost_anything(), code
        play.cycle(full=True)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param([done()], "no Sync Done control", id="no end of a synchronisation"),
        pytest.param([sync_ids(*ANCHORS[:5]), done(controls=sync_done())], "no new cookie", id="no cookie"),
        pytest.param([sync_ids(*ANCHORS[:5]), done(controls=sync_done(b""))], "not understand", id="empty cookie"),
        pytest.param(
            [sync_ids(*ANCHORS[:5]), phase_ended(deletes=True), sync_ids(ANCHORS[7], deleted=True),
             done(controls=sync_done(NEW))],
            "both at once", id="present and delete phase",
        ),
        pytest.param(
            [found(person_dn("u0"), PERSON_0, sync_state(ADD, ANCHORS[1])), done(controls=sync_done(NEW))],
            "identity of another", id="another one's identity",
        ),
        pytest.param(
            [found(person_dn("u0"), PERSON_0, sync_state(9, ANCHORS[0])), done(controls=sync_done(NEW))],
            "unknown state", id="unknown state",
        ),
        pytest.param(
            [found(person_dn("u0"), PERSON_0), done(controls=sync_done(NEW))], "without Sync State", id="no state"
        ),
        pytest.param(
            [found(person_dn("u0"), PERSON_0, sync_state(ADD, b"short")), done(controls=sync_done(NEW))],
            "UUID of 5 bytes", id="no UUID",
        ),
        pytest.param([sync_info(b"\xa9\x00"), done(controls=sync_done(NEW))], "unknown kind", id="unknown message"),
        pytest.param([sync_info(b"\xa3\x7f\x01"), done(controls=sync_done(NEW))], "cut short", id="broken message"),
        pytest.param(
            [sync_ids(*ANCHORS, anchor_of("nobody")), done(controls=sync_done(NEW))], "never sent", id="a stranger"
        ),
        pytest.param(
            [sync_ids(*ANCHORS[:20]), reference("ldap://elsewhere.example/ou=More"), done(controls=sync_done(NEW))],
            "another server", id="continuation reference",
        ),
        pytest.param([sync_ids(*ANCHORS[:5]), CUT], "was lost", id="cut"),
        pytest.param([sync_ids(*ANCHORS[:5]), NOTICE_OF_DISCONNECTION, CUT], "was lost", id="notice"),
        pytest.param([sync_ids(*ANCHORS[:5]), Message(raw=b"\xff" * 30), CUT], "was lost", id="garbage"),
        pytest.param([sync_ids(*ANCHORS[:5]), replace(done(), waits=5.0), CUT], "was lost", id="silence"),
        pytest.param(
            [sync_ids(ANCHORS[0], anchor_of("group app-all")), done(controls=sync_done(NEW))], "guard", id="one left"
        ),
        pytest.param([sync_ids(anchor_of("u0")), done(controls=sync_done(NEW))], "shows none", id="no group left"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_believed_removes_nobody(play: Play, answer: list[Message], told: str) -> None:
    play.directory.csn(2)
    if told == "guard":
        play.agent.sections["guard"] = {}
        play.agent.write()

    play.cycle(when_synchronising(*answer))
    said = play.agent.run("status").out

    assert told in said, said
    assert play.nobody_lost_anything()


@pytest.mark.parametrize("state", [sync_ids(*ANCHORS, deleted=True), None])
def test_who_is_named_as_deleted_and_is_there_stays(play: Play, state: Message | None) -> None:
    play.directory.csn(2)
    each = [found(person_dn(uid), {}, sync_state(3, anchor_of(uid))) for uid in uids(PEOPLE)]
    messages = [state] if state is not None else each

    report = play.cycle(when_synchronising(*messages, done(controls=sync_done(NEW, deletes=True))))

    assert report.exit_code == 0
    assert play.nobody_lost_anything()


@pytest.mark.parametrize("code", [1, 3, 4, 11, 50, 51, 52, 80])
def test_a_deletion_that_cannot_be_confirmed_is_not_believed(play: Play, code: int) -> None:
    """What is named as deleted is looked for; that search ends badly."""
    play.directory.csn(2)

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.synchronises:
            return [sync_ids(ANCHORS[5], deleted=True), done(controls=sync_done(NEW, deletes=True))]
        return [done(code)] if search.reads else honest

    report = play.cycle(script)

    assert report.exit_code == 4
    assert f"({code})" in play.agent.run("status").out
    assert play.nobody_lost_anything()


def test_a_deletion_that_is_confirmed_is_carried_out(play: Play) -> None:
    """The tests above could not fail if nothing ever removed anybody."""
    play.directory.csn(2)
    play.lose("u5")

    report = play.cycle(
        when_synchronising(sync_ids(ANCHORS[5], deleted=True), done(controls=sync_done(NEW, deletes=True)))
    )

    assert report.sources[0]["extent"] == "incremental"
    assert play.scim.active() == EVERYBODY - {"u5@example.com"}


# --- timestamps ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["listing", "changes"])
def test_no_result_code_of_a_read_by_timestamps_removes_anybody(scim: ScimService, agent: Agent, which: str) -> None:
    with ScriptedLdap(PEOPLE) as directory, ExitStack() as stack:
        agent.configure(scim, directory.settings(changes="timestamps"), guard={"users_share": "100%"})
        play = stack.enter_context(Play.beginning(agent, directory, scim))
        play.lose("u25")
        for code in CODES:

            def script(search: Search, honest: list[Message], code: int = code) -> list[Message]:
                asked = "memberuid" in search.attributes if which == "changes" else search.attributes == ("entryuuid",)
                return [*honest[:-1], done(code)] if asked else honest

            report = play.cycle(script)

            assert report.exit_code == 4, code
            assert play.nobody_lost_anything(), code
        assert "the unknown result 12345" in agent.run("status").out
        play.cycle()

    assert scim.active() == EVERYBODY - {"u25@example.com"}


def test_an_entry_without_a_timestamp_makes_every_read_full(scim: ScimService, agent: Agent) -> None:
    with ScriptedLdap(PEOPLE) as directory:
        del directory.entries[person_dn("u5")]["modifytimestamp"]
        agent.configure(scim, directory.settings(changes="timestamps"))
        with Play.beginning(agent, directory, scim) as play:
            directory.entries[person_dn("u5")]["sn"] = [b"Changed"]
            report = play.cycle()

    assert report.sources[0]["extent"] == "full"
    assert {user["name"]["familyName"] for user in scim.users.values()} == {"Example", "Changed"}


def test_the_scripted_server_answers_honestly_when_nothing_else_is_asked_of_it(play: Play) -> None:
    play.directory.entries[group_dn("app-all")] = group("app-all", *uids(PEOPLE - 1))
    play.directory.csn(2)

    before, idle = len(play.directory.searches), play.cycle(full=True)

    assert idle.exit_code == 0
    assert len(play.directory.searches) > before
    assert play.scim.membership() == {"app-all": EVERYBODY - {f"u{PEOPLE - 1}@example.com"}}


def test_who_is_found_without_an_identity_is_not_taken_for_deleted(play: Play) -> None:
    play.directory.csn(2)

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.synchronises:
            return [sync_ids(anchor_of("u5"), deleted=True), done(controls=sync_done(NEW, deletes=True))]
        if search.reads:
            hidden = {key: held for key, held in play.directory.entries[person_dn("u5")].items() if key != "entryuuid"}
            dn = person_dn("u5")
            return [found(dn, hidden) if dn.encode() in message.operation else message for message in honest]
        return honest

    report = play.cycle(script)

    assert report.exit_code == 4
    assert play.nobody_lost_anything()


@pytest.fixture
def stamped(scim: ScimService, agent: Agent) -> Iterator[Play]:
    """Read by timestamps."""
    with ScriptedLdap(PEOPLE, vendor={}) as directory:
        guard = {"users_share": "100%", "members_share": "100%"}
        agent.configure(scim, directory.settings(changes="timestamps"), guard=guard)
        with Play.beginning(agent, directory, scim) as play:
            yield play


def test_a_timestamp_in_the_future_hides_no_change(stamped: Play) -> None:
    stamped.directory.entries[person_dn("u3")]["modifytimestamp"] = [b"20990101000000Z"]
    stamped.cycle(full=True)
    listed = stamped.directory.entries[group_dn("app-all")]
    listed["member"] = [member for member in listed["member"] if not member.startswith(b"uid=u7,")]
    listed["modifytimestamp"] = [b"20261125080000Z"]

    report = stamped.cycle()

    assert "an entry shows no timestamp, or one in the future" in str(report.sources[0]["note"])
    assert EVERYBODY - stamped.scim.membership()["app-all"] == {"u7@example.com"}


def test_a_replica_that_shows_older_content_undoes_nothing(stamped: Play) -> None:
    older = deepcopy(stamped.directory.entries)
    stamped.directory.entries[person_dn("late")] = person("late") | {"modifytimestamp": [b"20261125090000Z"]}
    listed = stamped.directory.entries[group_dn("app-all")]
    listed["member"] = [*listed["member"], person_dn("late").encode()]
    listed["modifytimestamp"] = [b"20261125090000Z"]
    stamped.cycle()
    stamped.directory.entries = older

    codes = [stamped.cycle(full=full).exit_code for full in (False, True)]

    assert codes == [4, 4]
    assert stamped.scim.membership()["app-all"] == EVERYBODY | {"late@example.com"}


def test_a_watch_that_is_always_refused_ends_and_says_so(play: Play) -> None:
    connection = connect(play.agent.configuration)
    source = connection.sources[0].open()
    since = checkpoint_of(play.state, "corp", source.fingerprint(connection.wanted))
    asked: list[Search] = []

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.synchronises:
            asked.append(search)
            return [done(11)]  # adminLimitExceeded: of persistent searches, perhaps
        return honest

    play.directory.script = script
    assert isinstance(source, Watching)
    with pytest.raises(SourceError):
        list(source.watch(connection.wanted, since, Event()))

    assert len(asked) <= 4
