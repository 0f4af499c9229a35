"""Who comes back after being deleted, and who is listed without ever having been seen, as DirSync tells of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.scripted_domain import DomainPlay, domain_play
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ELSEWHERE,
    ScriptedActiveDirectory,
    group,
    group_dn,
    person,
    person_dn,
)

APP_ALL = group_dn("app-all")


@pytest.fixture
def play(scim: ScimService, agent: Agent) -> Iterator[DomainPlay]:
    with domain_play(agent, scim, ScriptedActiveDirectory(11)) as play:
        yield play


def test_somebody_who_is_restored_from_the_deleted_objects_is_back_in_the_groups_that_list_them(
    play: DomainPlay,
) -> None:
    """With the recycle bin the groups come back, too, and nothing is told of them."""
    domain = play.directory
    held = domain.entries[person_dn("u1")]
    domain.delete(person_dn("u1"))
    assert play.cycle().exit_code == 0
    assert play.equal()

    domain.undelete(person_dn("u1"), held)
    domain.entries[APP_ALL]["member"] = [*domain.entries[APP_ALL]["member"], person_dn("u1").encode()]
    report = play.cycle()

    assert (report.exit_code, report.sources[0]["extent"]) == (0, "full")
    assert "restored from the deleted objects" in play.told()
    assert play.equal()
    assert "u1@example.com" in play.scim.active()


def test_somebody_deleted_and_restored_between_two_cycles_has_lost_the_groups(play: DomainPlay) -> None:
    held = play.directory.entries[person_dn("u1")]
    play.directory.delete(person_dn("u1"))
    play.directory.undelete(person_dn("u1"), held)

    report = play.cycle()

    assert report.exit_code == 0
    assert play.equal()
    assert "u1@example.com" not in play.scim.membership()["app-all"]


def test_somebody_who_comes_back_under_the_same_identity_is_the_same_person(play: DomainPlay) -> None:
    """Without a word of a restoration: all that is told is an entry, and a group that it joins."""
    domain = play.directory
    held = domain.entries[person_dn("u1")]
    domain.delete(person_dn("u1"))
    play.cycle()
    people = len(play.scim.users)

    domain.add(person_dn("u1"), held)
    domain.join(APP_ALL, person_dn("u1"))
    report = play.cycle()

    assert report.exit_code == 0
    assert play.equal()
    assert "u1@example.com" in play.scim.active()
    assert len(play.scim.users) == people


def test_a_member_that_was_never_seen_is_counted_and_arrives_when_it_comes_into_view(play: DomainPlay) -> None:
    domain = play.directory
    domain.add(person_dn("far", ELSEWHERE), person("far"))
    domain.join(APP_ALL, person_dn("far", ELSEWHERE))

    report = play.cycle()

    assert (report.exit_code, report.sources[0]["extent"]) == (0, "incremental")
    assert play.equal()
    assert "group app-all: 1 member that no source can name" in play.told()

    domain.move(person_dn("far", ELSEWHERE), person_dn("far"))
    assert play.cycle().exit_code == 0
    assert play.equal()
    assert "far@example.com" in play.scim.membership()["app-all"]


def test_a_member_that_was_never_seen_is_counted_no_more_when_it_is_deleted(play: DomainPlay) -> None:
    domain = play.directory
    domain.add(person_dn("far", ELSEWHERE), person("far"))
    domain.join(APP_ALL, person_dn("far", ELSEWHERE))
    play.cycle()
    domain.delete(person_dn("far", ELSEWHERE))

    assert play.cycle().sources[0]["extent"] == "incremental"
    assert "no source can name" not in play.told()
    assert play.equal()


def test_a_group_that_is_told_of_before_its_members_arrives_whole(play: DomainPlay) -> None:
    domain = play.directory
    domain.changes_at_once = 1
    domain.add(group_dn("app-new"), group("app-new", person_dn("u1")))
    domain.add(person_dn("new"), person("new"))
    domain.join(group_dn("app-new"), person_dn("new"), person_dn("u2"))

    assert play.cycle().exit_code == 0
    assert play.equal()
    assert len(play.scim.membership()["app-new"]) == 3
