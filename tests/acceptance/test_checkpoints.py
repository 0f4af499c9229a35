"""A checkpoint that does not fit the directory that answers: no removal that is not proven."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.kept_checkpoint import keep, kept
from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, person, person_dn, uids
from tests.servers.directory_389 import CHANGELOG_AS_IT_COMES, WITHOUT_INTEGRITY, Directory389
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

PEOPLE = 60
CONTENT = plain(people(PEOPLE) + group("app-all", *uids(PEOPLE)))


def everybody(count: int = PEOPLE) -> dict[str, set[str]]:
    return {"app-all": {f"{uid}@example.com" for uid in uids(count)}}


def added(uid: str) -> str:
    return plain(person(uid)).replace("\nobjectClass", "\nchangetype: add\nobjectClass", 1)


def members(how: str, *uids: str) -> str:
    lines = "".join(f"member: {person_dn(uid)}\n" for uid in uids)
    return f"dn: {group_dn('app-all')}\nchangetype: modify\n{how}: member\n{lines}\n"


def deleted(uid: str) -> str:
    return f"dn: {person_dn(uid)}\nchangetype: delete\n\n"


def let_the_second_pass() -> None:
    """A modifyTimestamp is told in whole seconds: what was backed up in the second of a change looks as new as it."""
    time.sleep(1 - time.time() % 1)


def tamper(agent: Agent, cookie: Callable[[str], str]) -> None:
    """Change the cookie in the checkpoint that the agent keeps."""
    checkpoint = kept(agent)
    keep(agent, replace(checkpoint, position={SUFFIX: cookie(checkpoint.position[SUFFIX])}))


def a_week_passes(agent: Agent) -> None:
    """Since the last full reconciliation, as far as the state knows."""
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as database:
        before = (datetime.now(UTC) - timedelta(days=7)).isoformat()
        changed = database.execute(
            "UPDATE fact SET value = ? WHERE name = 'full reconciliation begun at'", [before]
        ).rowcount
    database.close()
    assert changed == 1


@pytest.fixture(params=[History.PRESENT, History.SESSION_LOG])
def openldap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenLdap]:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=request.param)
    server.load(CONTENT)
    with server:
        yield server


@pytest.fixture
def directory_389(tmp_path: Path) -> Iterator[Directory389]:
    place = tmp_path / "389"
    place.mkdir()
    server = Directory389(place, configuration=WITHOUT_INTEGRITY)
    server.load(CONTENT)
    with server:
        yield server


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "",
        "rid=000",
        "rid=000,csn=20200101000000.000000Z#000000#000#000000",
        "rid=000,csn=20200101000000.000000Z#000000#007#000000",
        "rid=000,csn=nonsense",
    ],
)
def test_a_cookie_openldap_does_not_know_removes_nobody_who_is_there(
    openldap: OpenLdap, scim: ScimService, agent: Agent, text: str
) -> None:
    agent.configure(scim, openldap.settings())
    agent.sync()
    tamper(agent, lambda _: text)
    openldap.modify(members("delete", "u1"))

    report = agent.sync()
    after = agent.sync()

    assert report["exit_code"] == 0
    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u1@example.com"}
    assert (after["counts"]["planned"], after["sources"][0]["extent"]) == (0, "incremental")


def test_a_restored_older_directory_removes_nobody_until_it_is_accepted_by_hand(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, openldap.settings())
    openldap.stop()
    backup = openldap.back_up()
    openldap.start()
    agent.sync()
    openldap.modify(added("late") + members("add", "late"))
    agent.sync()
    openldap.stop()
    openldap.restore(backup)

    unreachable = agent.sync("--full")  # which accepts nothing, because nothing answered
    openldap.start()
    reports = [agent.sync() for _ in range(2)]
    kept = scim.membership()["app-all"]
    said = agent.run("status").out
    accepted = agent.sync("--full")

    assert [report["exit_code"] for report in (unreachable, *reports)] == [4, 4, 4]
    assert "late@example.com" in kept
    assert "knows less of dc=example,dc=com than was read before" in said
    assert accepted["exit_code"] == 0
    assert scim.membership() == everybody()


@pytest.mark.parametrize("history", [History.NONE, History.PRESENT, History.SESSION_LOG], ids=lambda kind: kind.name)
def test_a_full_reconciliation_of_a_restored_older_directory_removes_nobody(
    tmp_path: Path, scim: ScimService, agent: Agent, history: History
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=history)
    server.load(CONTENT)
    server.start()
    server.stop()
    backup = server.back_up()
    # Not the suffix, which is the only entry that shows how far the database is.
    bases = {"user_base_dn": f"ou=People,{SUFFIX}", "group_base_dn": f"ou=Groups,{SUFFIX}"}
    agent.configure(scim, server.settings(**bases))
    with server:
        agent.sync()
        let_the_second_pass()
        server.modify(added("late") + members("add", "late"))
        agent.sync()
        server.stop()
        server.restore(backup)
        server.start()
        a_week_passes(agent)
        report = agent.sync()

    assert report["exit_code"] == 4
    assert "late@example.com" in scim.membership()["app-all"]


def test_a_full_reconciliation_is_due_by_the_state_however_often_the_agent_is_started(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, openldap.settings())
    agent.sync()
    early = agent.sync()
    a_week_passes(agent)

    due, after = agent.sync(), agent.sync()

    assert [report["sources"][0]["extent"] for report in (early, due, after)] == ["incremental", "full", "incremental"]


def test_a_directory_whose_people_and_groups_are_all_gone_removes_nobody(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, openldap.settings())
    agent.sync()
    openldap.modify("".join(map(deleted, uids(PEOPLE))) + f"dn: {group_dn('app-all')}\nchangetype: delete\n\n")

    report = agent.sync()

    assert report["exit_code"] == 3
    assert scim.membership() == everybody()


def test_a_restored_directory_that_has_moved_on_ends_right(openldap: OpenLdap, scim: ScimService, agent: Agent) -> None:
    agent.configure(scim, openldap.settings())
    openldap.stop()
    backup = openldap.back_up()
    openldap.start()
    agent.sync()
    openldap.modify(added("late") + members("add", "late") + members("delete", "u1"))
    agent.sync()
    openldap.stop()
    openldap.restore(backup)
    openldap.start()
    openldap.modify(members("delete", "u2"))

    agent.sync()
    agent.sync("--full")

    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u2@example.com"}


def test_a_different_directory_behind_the_same_name_removes_nobody_until_it_is_accepted_by_hand(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, openldap.settings())
    agent.sync()
    openldap.stop()
    openldap.restore(Path("/nowhere"))
    openldap.load(plain(people(3) + group("app-all", *uids(3))))
    openldap.start()

    reports = [agent.sync() for _ in range(2)]
    said = agent.run("status").out
    kept = scim.membership(), scim.active()
    accepted = agent.sync("--full")

    assert [report["exit_code"] for report in reports] == [4, 4]
    assert kept == (everybody(), everybody()["app-all"])
    assert "is not the directory that was read before" in said
    assert accepted["exit_code"] == 3  # what so many removals meet is the guard


def test_what_is_reported_as_deleted_while_the_sentinel_is_out_of_sight_is_not_believed(
    tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    place = tmp_path / "slapd"
    place.mkdir()
    server = OpenLdap(place, history=History.SESSION_LOG)
    server.load(CONTENT)
    with server:
        agent.configure(scim, server.settings(sentinel=person_dn("u59")))
        agent.sync()
        server.modify(members("delete", "u59") + deleted("u59") + deleted("u1"))

        report = agent.sync()

    assert report["exit_code"] == 4
    assert "the sentinel uid=u59" in report["sentences"][0]
    assert scim.membership() == everybody()


def test_389_tells_deletions_and_nothing_else_is_taken_for_one(
    directory_389: Directory389, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory_389.settings())
    agent.sync()
    idle = agent.sync()
    directory_389.modify(f"dn: {person_dn('u3')}\nchangetype: modify\nreplace: sn\nsn: Changed\n")
    modified = agent.sync()
    directory_389.modify(deleted("u1"))
    agent.sync()

    extents = [report["sources"][0]["extent"] for report in (idle, modified)]
    assert extents == ["incremental", "incremental"]
    assert (idle["counts"]["planned"], modified["counts"]["planned"]) == (0, 1)
    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u1@example.com"}


def test_389_loses_every_51st_deletion_and_we_do_not(
    directory_389: Directory389, scim: ScimService, agent: Agent
) -> None:
    guard = {"users_share": "100%", "members_share": "100%"}
    agent.configure(scim, directory_389.settings(), guard=guard)
    agent.sync()
    directory_389.modify("".join(deleted(uid) for uid in uids(55)))

    agent.sync()

    assert scim.active() == {f"u{number}@example.com" for number in range(55, PEOPLE)}


def test_389_with_a_changelog_that_does_not_name_what_changed_is_read_in_full(
    tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    place = tmp_path / "389"
    place.mkdir()
    server = Directory389(place, configuration=WITHOUT_INTEGRITY | CHANGELOG_AS_IT_COMES)
    server.load(CONTENT)
    with server:
        agent.configure(scim, server.settings())
        agent.sync()
        server.modify(deleted("u1"))
        report = agent.sync()

    assert report["sources"][0]["extent"] == "full"
    assert "nsuniqueid:targetUniqueId" in report["sources"][0]["note"]
    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u1@example.com"}


@pytest.mark.parametrize("text", ["garbage", "localhost:1#x:y:z#7", "{data_version}|proven|garbage"])
def test_a_cookie_389_does_not_know_leads_to_a_full_read(
    directory_389: Directory389, scim: ScimService, agent: Agent, text: str
) -> None:
    agent.configure(scim, directory_389.settings())
    agent.sync()

    tamper(agent, lambda cookie: text.format(data_version=cookie.partition("|")[0]))
    directory_389.modify(deleted("u1"))

    report = agent.sync()

    assert (report["exit_code"], report["sources"][0]["extent"]) == (0, "full")
    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u1@example.com"}


def test_389_restored_and_moved_on_past_the_old_cookie_is_read_in_full(
    directory_389: Directory389, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory_389.settings())
    directory_389.stop()
    backup = directory_389.back_up()
    directory_389.start()
    agent.sync()
    directory_389.modify(members("delete", "u1"))
    agent.sync()
    directory_389.stop()
    directory_389.restore(backup)
    directory_389.start()
    directory_389.modify(f"dn: {person_dn('u3')}\nchangetype: modify\nreplace: sn\nsn: Changed\n\n" * 3)

    report = agent.sync()

    assert report["sources"][0]["extent"] == "full"
    assert scim.membership() == everybody()


def test_removals_wait_only_until_each_source_has_been_read_completely_once(
    openldap: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    ldif = {"name": "partners", "connector": "ldif", "file": "directory.ldif"}
    agent.configure(scim, openldap.settings(), ldif)
    first = agent.sync()  # there is no such file
    agent.ldif.write_text(person("partner") + group("app-partners", "partner"))
    agent.sync()
    openldap.modify(members("delete", "u1"))

    report = agent.sync()

    assert (first["exit_code"], report["exit_code"]) == (4, 0)
    assert report["sources"][0]["extent"] == "incremental"
    assert scim.membership()["app-all"] == everybody()["app-all"] - {"u1@example.com"}
