"""Which controller answers, and whether it knows enough: nothing is taken from one that knows less than was read."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.acceptance.kept_checkpoint import keep, kept
from tests.acceptance.scripted_domain import DomainPlay, domain_play, set_the_clock
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    DIRSYNC,
    DOMAIN,
    ELSEWHERE,
    GROUPS,
    PEOPLE,
    ScriptedActiveDirectory,
    dirsync_cookie,
    group_dn,
    person,
    person_dn,
)
from tests.servers.scripted_ldap import PAGED_RESULTS, Message, Search, done, found

APP_ALL = group_dn("app-all")
NEW = "new@example.com"

either_way = pytest.mark.parametrize("changes", ["dirsync", "usn"])


@contextmanager
def newcomer_read(agent: Agent, scim: ScimService, **settings: object) -> Iterator[DomainPlay]:
    """Somebody new is in the group, and was read."""
    with domain_play(agent, scim, ScriptedActiveDirectory(8), **settings) as play:
        play.directory.add(person_dn("new"), person("new"))
        play.directory.join(APP_ALL, person_dn("new"))
        assert play.cycle().exit_code == 0
        assert play.equal()
        yield play


def know_less(domain: ScriptedActiveDirectory) -> None:
    """The directory of before the newcomer."""
    held = domain.entries[APP_ALL]
    held["member"] = [value for value in held["member"] if value != person_dn("new").encode()]
    domain.entries.pop(person_dn("new"), None)


def put_back_and_outgrow(domain: ScriptedActiveDirectory, copied: Any, reached: int) -> None:
    """An older copy of the database, which has had more changes of its own since than the newer one ever had."""
    domain.entries, domain.log, domain.tombstones = copied
    while domain.usn <= reached:
        domain.modify(person_dn("u3"), sn=[b"After"])


def an_entry_without_identity(search: Search, honest: list[Message]) -> list[Message]:
    """With it no read is COMPLETE."""
    if search.base == PEOPLE and PAGED_RESULTS in search.controls and "mail" in search.attributes:
        return [found(f"CN=x,{PEOPLE}", {"objectclass": [b"user"]}), *honest]
    return honest


@pytest.mark.parametrize("changes", ["dirsync", "usn", "full"])
def test_an_older_copy_is_refused_however_changes_are_found(scim: ScimService, agent: Agent, changes: str) -> None:
    with newcomer_read(agent, scim, changes=changes) as play:
        know_less(play.directory)
        play.directory.root["highestcommittedusn"] = [b"3"]

        reports = [play.cycle(), play.cycle(full=True)]

        assert [report.exit_code for report in reports] == [4, 4]
        assert "knows less" in reports[0].sources[0]["reason"]
        assert NEW in play.scim.membership()["app-all"]


def test_an_older_copy_is_refused_though_changes_are_to_be_found_in_another_way(
    scim: ScimService, agent: Agent
) -> None:
    with newcomer_read(agent, scim, changes="dirsync") as play:
        know_less(play.directory)
        play.directory.root["highestcommittedusn"] = [b"3"]
        play.agent.sources[0]["changes"] = "usn"
        play.agent.write()

        assert play.cycle().exit_code == 4
        assert NEW in play.scim.membership()["app-all"]


def test_an_older_copy_is_refused_after_a_read_that_could_not_be_gone_on_from(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8)) as play:
        play.directory.add(person_dn("new"), person("new"))
        play.directory.join(APP_ALL, person_dn("new"))

        def script(search: Search, honest: list[Message]) -> list[Message]:
            return [done(12)] if DIRSYNC in search.controls and dirsync_cookie(search) else honest

        assert play.cycle(script).exit_code == 0
        assert play.equal()
        know_less(play.directory)
        play.directory.root["highestcommittedusn"] = [b"3"]

        assert play.cycle().exit_code == 4
        assert NEW in play.scim.membership()["app-all"]


def test_a_controller_that_lags_is_refused_though_a_base_is_missing(scim: ScimService, agent: Agent) -> None:
    domain = ScriptedActiveDirectory(8)
    bases = {"base_dn": DOMAIN, "user_base_dn": [PEOPLE], "group_base_dn": [GROUPS, ELSEWHERE]}
    with domain:
        agent.configure(scim, domain.settings() | bases, guard=NO_LIMITS, upstream={"workers": 1})
        with DomainPlay.beginning(agent, domain, scim) as play:
            domain.add(person_dn("new"), person("new"))
            domain.join(APP_ALL, person_dn("new"))
            assert play.cycle().exit_code == 0
            know_less(domain)
            domain.become_another()
            del domain.entries[ELSEWHERE]

            assert play.cycle().exit_code == 4
            assert NEW in scim.membership()["app-all"]


def test_a_base_that_is_missing_takes_nobody_out(scim: ScimService, agent: Agent) -> None:
    domain = ScriptedActiveDirectory(8)
    with domain:
        agent.configure(scim, domain.settings() | {"base_dn": [PEOPLE, ELSEWHERE, GROUPS]}, guard=NO_LIMITS)
        with DomainPlay.beginning(agent, domain, scim) as play:
            before = play.standing()
            unit = domain.entries[ELSEWHERE]
            domain.delete(ELSEWHERE)

            report = play.cycle()

            assert report.exit_code == 4
            assert ELSEWHERE in report.sources[0]["reason"]
            assert play.standing() == before
            domain.entries[ELSEWHERE] = unit
            assert play.cycle().exit_code == 0


def test_changed_settings_hold_the_removals_until_a_read_is_complete_though_others_left_a_checkpoint(
    scim: ScimService, agent: Agent
) -> None:
    with newcomer_read(agent, scim) as play:
        play.agent.sources[0]["base_dn"] = [PEOPLE, GROUPS, ELSEWHERE]
        play.agent.write()
        play.directory.leave(APP_ALL, person_dn("new"))

        reports = [play.cycle(an_entry_without_identity), play.cycle(an_entry_without_identity)]

        assert [report.exit_code for report in reports] == [4, 4]
        assert NEW in play.scim.membership()["app-all"]
        assert play.cycle().exit_code == 0
        assert play.equal()


def test_what_an_unfinished_read_of_another_controller_took_is_read_again(scim: ScimService, agent: Agent) -> None:
    with newcomer_read(agent, scim, replication_delay=0) as play:
        domain = play.directory
        listed = domain.entries[APP_ALL]["member"]
        former = domain.become_another()
        domain.entries[APP_ALL]["member"] = [value for value in listed if value != person_dn("new").encode()]
        assert play.cycle(an_entry_without_identity).exit_code == 4

        domain.become(former)
        domain.entries[APP_ALL]["member"] = listed
        domain.modify(person_dn("u3"), sn=[b"Changed"])
        report = play.cycle()

        assert (report.exit_code, report.sources[0]["extent"]) == (0, "full")
        assert play.equal()
        assert NEW in play.scim.active()


def test_a_controller_is_compared_with_the_last_one_though_that_was_not_read_completely(
    scim: ScimService, agent: Agent
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), replication_delay=86_400) as play:
        domain = play.directory
        first = domain.become_another(domain.usn)
        domain.add(person_dn("new"), person("new"))
        domain.join(APP_ALL, person_dn("new"))
        assert play.cycle(an_entry_without_identity).exit_code == 4
        assert NEW in play.scim.membership()["app-all"]

        know_less(domain)
        domain.become(first)  # which has not heard of the newcomer
        del domain.entries[DOMAIN]["repluptodatevector"]

        assert play.cycle().exit_code == 4
        assert NEW in play.scim.membership()["app-all"]


def test_another_controller_has_to_know_what_changed_while_the_last_one_was_read(
    scim: ScimService, agent: Agent
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8)) as play:
        domain = play.directory
        domain.add(person_dn("new"), person("new"))
        told: list[int] = []

        def script(search: Search, honest: list[Message]) -> list[Message]:
            if "highestcommittedusn" in search.attributes and not told:
                told.append(domain.usn)
                domain.join(APP_ALL, person_dn("new"))
            return honest

        assert play.cycle(script).exit_code == 0
        assert NEW in play.scim.membership()["app-all"]
        know_less(domain)
        domain.become_another(told[0])

        assert play.cycle().exit_code == 4
        assert NEW in play.scim.membership()["app-all"]


def test_a_database_that_was_put_back_and_has_outgrown_itself_is_read_in_full(scim: ScimService, agent: Agent) -> None:
    """The people who had changed last never were in it, and no group has changed: nothing shows a lower number."""
    with domain_play(agent, scim, ScriptedActiveDirectory(8)) as play:
        domain = play.directory
        copied = copy.deepcopy((domain.entries, domain.log, domain.tombstones))
        for number in range(6):
            domain.add(person_dn(f"ghost{number}"), person(f"ghost{number}"))
        for number in range(6):
            domain.modify(person_dn(f"ghost{number}"), sn=[b"Ghost"])
        assert play.cycle().exit_code == 0
        reached = domain.usn
        put_back_and_outgrow(domain, copied, reached)

        report = play.cycle()

        assert (report.exit_code, report.sources[0]["extent"]) == (0, "full")
        assert "put back" in report.sources[0]["note"]
        assert play.equal()
        domain.modify(person_dn("u3"), sn=[b"Later"])
        assert play.cycle().sources[0]["extent"] == "incremental"


@either_way
def test_a_database_that_was_put_back_is_refused_though_all_that_had_changed_last_never_was_in_it(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(8), changes=changes) as play:
        domain = play.directory
        copied = copy.deepcopy((domain.entries, domain.log, domain.tombstones))
        domain.add(person_dn("new"), person("new"))
        domain.join(APP_ALL, person_dn("new"))
        play.cycle()
        for number in range(6):
            domain.add(person_dn(f"ghost{number}"), person(f"ghost{number}"))
        play.cycle()
        before, reached = play.standing(), domain.usn
        put_back_and_outgrow(domain, copied, reached)

        reports = [play.cycle(), play.cycle()]

        assert [report.exit_code for report in reports] == [4, 4]
        assert "knows less" in reports[0].sources[0]["reason"]
        assert play.standing() == before


@either_way
def test_a_database_that_was_put_back_is_refused_when_nobody_who_had_changed_last_is_in_it(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    domain = ScriptedActiveDirectory(8)
    with domain_play(agent, scim, domain, changes=changes) as play:
        copied = copy.deepcopy((domain.entries, domain.log, domain.tombstones))
        del copied[0][APP_ALL]  # it is of before the only group
        for number in range(6):
            domain.add(person_dn(f"ghost{number}"), person(f"ghost{number}"))
        play.cycle()
        before, reached = play.standing(), domain.usn
        put_back_and_outgrow(domain, copied, reached)

        reports = [play.cycle(), play.cycle()]

        assert [report.exit_code for report in reports] == [4, 4]
        assert play.standing() == before
        assert "complete full read" in play.agent.run("sync", "--full").out


@pytest.mark.parametrize("changes", ["dirsync", "usn"])
def test_people_who_are_deleted_out_of_sight_are_no_sign_of_an_older_copy(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    domain = ScriptedActiveDirectory(12)
    domain.unseen |= domain.tombstones.keys()
    with domain:
        agent.configure(
            scim,
            domain.settings(name="people", base_dn=[PEOPLE], changes=changes),
            domain.settings(name="groups", base_dn=[GROUPS], changes=changes),
            guard=NO_LIMITS,
        )
        with DomainPlay.beginning(agent, domain, scim) as play:
            temps = [person_dn(f"u{number}") for number in range(5)]
            for dn in temps:
                domain.modify(dn, sn=[b"Leaving"])
            play.cycle()
            domain.unseen |= {domain.delete(dn) for dn in temps}

            report = play.cycle()

            assert report.exit_code == 0
            assert scim.active() == {f"u{number}@example.com" for number in range(5, 12)}


def test_another_controller_is_not_waited_for_longer_than_the_delay_though_the_clock_was_ahead(
    scim: ScimService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_the_clock(monkeypatch, timedelta(days=400))
    with newcomer_read(agent, scim, replication_delay=2) as play:
        set_the_clock(monkeypatch, timedelta(0))
        play.directory.become_another()

        early = play.cycle()
        time.sleep(3)
        late = play.cycle()

        assert (early.exit_code, late.exit_code) == (4, 0)
        assert "full" in late.sources[0]["extent"]


DAMAGES: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "no cookie": lambda content: content["position"].pop("cookie"),
    "no number": lambda content: content["position"].pop("usn"),
    "no moment": lambda content: content["position"].update({"looked at": "yesterday"}),
    "no witnesses": lambda content: content["standing"].update({"witnesses": "[]"}),
    "no position": lambda content: content.update({"position": None}),
    "a list": lambda content: content.update({"strategy": []}),
    "another format": lambda content: content.update({"format": 1}),
}


def test_a_damaged_checkpoint_is_no_checkpoint(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, ScriptedActiveDirectory(20)) as play:
        for number, (name, damage) in enumerate(DAMAGES.items()):
            sealed = json.loads(kept(play.agent).seal().token)
            damage(sealed["content"])
            keep(play.agent, json.dumps(sealed))
            play.directory.leave(APP_ALL, person_dn(f"u{number}"))

            report = play.cycle()

            assert (report.exit_code, report.sources[0]["extent"]) == (0, "full"), name
            assert play.equal(), name
        for number, token in enumerate(("", "null", "[]", '{"content": 1, "digest": 1}', "\x00")):
            keep(play.agent, token)
            play.directory.leave(APP_ALL, person_dn(f"u{10 + number}"))
            assert play.cycle().exit_code == 0, token
            assert play.equal(), token
