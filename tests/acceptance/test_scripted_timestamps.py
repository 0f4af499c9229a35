"""Reads by timestamps as no real server answers them: nobody is removed, and no change is missed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy

import pytest

from tests.acceptance.scripted_directory import CODES, EVERYBODY, PEOPLE, DirectoryPlay, directory_play
from tests.agent_runner import Agent
from tests.ldif_text import group_dn, person_dn
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import (
    Message,
    ScriptedLdap,
    Search,
    done,
    person,
)


@pytest.fixture
def stamped(scim: ScimService, agent: Agent) -> Iterator[DirectoryPlay]:
    """Read by timestamps."""
    with directory_play(agent, scim, ScriptedLdap(PEOPLE, vendor={}), changes="timestamps") as play:
        yield play


@pytest.mark.parametrize("which", ["listing", "changes"])
def test_no_result_code_of_a_read_by_timestamps_removes_anybody(scim: ScimService, agent: Agent, which: str) -> None:
    with ScriptedLdap(PEOPLE) as directory, ExitStack() as stack:
        agent.configure(scim, directory.settings(changes="timestamps"), guard={"users_share": "100%"})
        play = stack.enter_context(DirectoryPlay.beginning(agent, directory, scim))
        play.lose("u25")
        for code in CODES:

            def script(search: Search, honest: list[Message], code: int = code) -> list[Message]:
                listed = search.attributes == ("entryuuid", "modifytimestamp")
                asked = "memberuid" in search.attributes if which == "changes" else listed
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
        with DirectoryPlay.beginning(agent, directory, scim) as play:
            directory.entries[person_dn("u5")]["sn"] = [b"Changed"]
            report = play.cycle()

    assert report.sources[0]["extent"] == "full"
    assert {user["name"]["familyName"] for user in scim.users.values()} == {"Example", "Changed"}


def test_a_timestamp_in_the_future_hides_no_change(stamped: DirectoryPlay) -> None:
    stamped.directory.entries[person_dn("u3")]["modifytimestamp"] = [b"20990101000000Z"]
    stamped.cycle(full=True)
    listed = stamped.directory.entries[group_dn("app-all")]
    listed["member"] = [member for member in listed["member"] if not member.startswith(b"uid=u7,")]
    listed["modifytimestamp"] = [b"20261125080000Z"]

    report = stamped.cycle()

    assert "an entry shows no timestamp, or one in the future" in str(report.sources[0]["note"])
    assert EVERYBODY - stamped.scim.membership()["app-all"] == {"u7@example.com"}


def test_a_replica_that_shows_older_content_undoes_nothing(stamped: DirectoryPlay) -> None:
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
