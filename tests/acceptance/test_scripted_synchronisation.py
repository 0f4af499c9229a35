"""Content synchronisation (RFC 4533) as no real server answers: nobody is removed, and `rollcall status` says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Event

import pytest

from agent.connection import connect
from agent.directory.mirror import checkpoint_of
from connectors.base import Watching
from connectors.errors import SourceError
from tests.acceptance.scripted_directory import CODES, EVERYBODY, PEOPLE, UNKNOWN, DirectoryPlay, directory_play
from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, person_dn, uids
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
    person,
    phase_ended,
    reference,
    sync_done,
    sync_ids,
    sync_info,
    sync_state,
)

NEW = b"rid=000,csn=20261125070000.000002Z#000000#000#000000"
ANCHORS = [anchor_of(uid) for uid in uids(PEOPLE)] + [anchor_of("group app-all")]
PERSON_0 = person("u0")


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[DirectoryPlay]:
    with directory_play(agent, scim, ScriptedLdap(PEOPLE)) as play:
        yield play


def when_synchronising(*messages: Message) -> Script:
    return lambda search, honest: messages if search.synchronises else honest


def test_no_result_code_of_a_synchronisation_removes_anybody(play: DirectoryPlay) -> None:
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
def test_an_answer_that_cannot_be_believed_removes_nobody(
    play: DirectoryPlay, answer: list[Message], told: str
) -> None:
    play.directory.csn(2)
    if told == "guard":
        play.agent.sections["guard"] = {}
        play.agent.write()

    play.cycle(when_synchronising(*answer))
    said = play.agent.run("status").out

    assert told in said, said
    assert play.nobody_lost_anything()


@pytest.mark.parametrize("state", [sync_ids(*ANCHORS, deleted=True), None])
def test_who_is_named_as_deleted_and_is_there_stays(play: DirectoryPlay, state: Message | None) -> None:
    play.directory.csn(2)
    each = [found(person_dn(uid), {}, sync_state(3, anchor_of(uid))) for uid in uids(PEOPLE)]
    messages = [state] if state is not None else each

    report = play.cycle(when_synchronising(*messages, done(controls=sync_done(NEW, deletes=True))))

    assert report.exit_code == 0
    assert play.nobody_lost_anything()


@pytest.mark.parametrize("code", [1, 3, 4, 11, 50, 51, 52, 80])
def test_a_deletion_that_cannot_be_confirmed_is_not_believed(play: DirectoryPlay, code: int) -> None:
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


def test_a_deletion_that_is_confirmed_is_carried_out(play: DirectoryPlay) -> None:
    """The tests above could not fail if nothing ever removed anybody."""
    play.directory.csn(2)
    play.lose("u5")

    report = play.cycle(
        when_synchronising(sync_ids(ANCHORS[5], deleted=True), done(controls=sync_done(NEW, deletes=True)))
    )

    assert report.sources[0]["extent"] == "incremental"
    assert play.scim.active() == EVERYBODY - {"u5@example.com"}


def test_who_is_found_without_an_identity_is_not_taken_for_deleted(play: DirectoryPlay) -> None:
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


def test_a_watch_that_is_always_refused_ends_and_says_so(play: DirectoryPlay) -> None:
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
