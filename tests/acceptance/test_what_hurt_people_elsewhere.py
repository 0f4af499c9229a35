"""What has gone wrong for people with other agents of this kind. Each ends here with nobody removed wrongly.

The guard is as wide open as the settings allow where it is not what the case is about.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.scripted_domain import domain_play
from tests.agent_runner import Agent
from tests.killing import kill_at
from tests.ldif_text import group, group_dn, people, person, uids
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import READER_DN, OpenLdap
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import ScriptedActiveDirectory
from tests.servers.scripted_ldap import Message, Search, done

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}
PEOPLE = 30


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


EVERYBODY = mails(*uids(PEOPLE))


@pytest.fixture
def directory(openldap: OpenLdap) -> OpenLdap:
    openldap.load(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
    openldap.start()
    return openldap


def test_a_time_limit_in_the_middle_of_a_read(directory: OpenLdap, scim: ScimService, agent: Agent) -> None:
    with LdapFaultProxy(directory.port, counting=b"memberuid") as proxy:
        source = directory.settings(urls=[proxy.url], starttls=False, page_size=10, changes="full")
        agent.configure(scim, source, guard=OPEN)
        agent.sync()
        proxy.result_code, proxy.at_search = 3, 2

        report = agent.sync()

    assert report["exit_code"] == 4
    assert (scim.active(), scim.membership()) == (EVERYBODY, {"app-a": EVERYBODY})


def test_a_directory_that_cannot_be_reached_is_not_an_empty_one(
    directory: OpenLdap, scim: ScimService, agent: Agent
) -> None:
    agent.configure(scim, directory.settings(), guard=OPEN)
    agent.sync()
    directory.stop()

    assert agent.sync("--full")["exit_code"] == 4
    assert (scim.active(), scim.membership()) == (EVERYBODY, {"app-a": EVERYBODY})


def test_the_member_after_the_last_of_the_first_range(scim: ScimService, agent: Agent) -> None:
    """A controller of Windows sends 1,500 values at once; here it is 8, so that the ninth is such a member."""

    def refuse_what_follows(search: Search, honest: list[Message]) -> list[Message]:
        following = any(name.startswith("member;range=") for name in search.attributes)
        return [done(53)] if following else honest

    with domain_play(agent, scim, ScriptedActiveDirectory(20, values_at_once=8)) as play:
        before = play.standing()
        assert len(before[0]["app-all"]) == 20
        report = play.cycle(refuse_what_follows, full=True)

        assert report.exit_code == 4
        assert play.standing() == before


def test_a_group_that_cannot_be_understood_is_not_half_a_group(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(6) + group("app-a", *uids(6)) + group("app-b", *uids(3)))
    agent.sync()
    broken = group("app-a", *uids(3)).rstrip() + "\nmember:: %%% this is no base64\n\n"
    agent.ldif.write_text(people(6) + broken + group("app-b", *uids(2)))

    report = agent.sync()

    assert report["exit_code"] in {1, 4}
    assert scim.membership()["app-a"] == mails(*uids(6))
    agent.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(2)))
    agent.sync()
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(2))}


def test_an_edited_filter(directory: OpenLdap, scim: ScimService, agent: Agent) -> None:
    agent.configure(scim, directory.settings())
    agent.sync()
    agent.configure(scim, directory.settings(user_filter="(uid=u1*)"))

    report = agent.sync()

    assert report["exit_code"] == 3
    assert "19 of 30 active users would be deactivated" in report["sentences"][0]
    assert (scim.active(), scim.membership()) == (EVERYBODY, {"app-a": EVERYBODY})


def test_an_account_that_may_read_nothing_is_answered_with_success(
    openldap: OpenLdap, tmp_path: Path, scim: ScimService, agent: Agent
) -> None:
    openldap.load(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
    openldap.start()
    agent.configure(scim, openldap.settings(changes="full"), guard=OPEN)
    agent.sync()
    openldap.stop()
    (tmp_path / "blind").mkdir()
    blind = OpenLdap(tmp_path / "blind", access=f"access to * by dn.exact={READER_DN} search by * none")
    blind.load(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
    with blind:
        agent.configure(scim, blind.settings(changes="full"), guard=OPEN)
        codes = [agent.sync()["exit_code"] for _ in range(2)]

    assert 0 not in codes
    assert (scim.active(), scim.membership()) == (EVERYBODY, {"app-a": EVERYBODY})


def test_all_groups_of_the_source_come_empty(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    names = [f"app-{number}" for number in range(5)]
    agent.ldif.write_text(people(PEOPLE) + "".join(group(name, *uids(PEOPLE)) for name in names))
    agent.sync()
    before = scim.membership()
    agent.ldif.write_text(people(PEOPLE) + "".join(group(name) for name in names))

    codes = [agent.sync()["exit_code"] for _ in range(3)]

    assert 0 not in codes
    assert (scim.active(), scim.membership()) == (EVERYBODY, before)


def test_a_crash_before_the_state_was_saved_makes_no_duplicate(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(PEOPLE) + group("app-a", *uids(PEOPLE)))
    process = agent.start("sync")
    assert kill_at(scim, process, lambda _request: len(scim.requests) >= 20, carried_out=True)

    assert agent.sync()["exit_code"] == 0
    assert sorted(user["userName"] for user in scim.users.values()) == sorted(EVERYBODY)
    assert scim.membership() == {"app-a": EVERYBODY}


def test_a_changed_address_is_no_second_account_and_wedges_nothing(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.sync()
    ids = set(scim.users)
    exchanged = person("u0", mail="u1@example.com") + person("u1", mail="u0@example.com")
    agent.ldif.write_text(exchanged + person("u2", mail="new@example.com") + group("app-a", *uids(3)))

    report = agent.sync()

    assert report["exit_code"] == 0
    assert set(scim.users) == ids
    assert scim.membership() == {"app-a": {"u0@example.com", "u1@example.com", "new@example.com"}}
    assert agent.sync()["counts"]["planned"] == 0


def test_one_bad_entry_and_one_external_member_stop_nobody_else(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(4) + group("app-a", *uids(4)))
    agent.sync()
    scim.refuses = lambda user: "not of a verified domain" if user["userName"].endswith("@p.example") else None
    bad = person("bad", mail="no address at all") + person("guest", mail="guest@p.example")
    agent.ldif.write_text(
        people(5).replace(person("u3"), "") + bad + group("app-a", "u0", "u1", "u2", "u4", "bad", "guest")
    )

    report = agent.sync()

    assert report["exit_code"] == 1
    assert scim.membership() == {"app-a": mails("u0", "u1", "u2", "u4")}
    assert scim.active() == mails("u0", "u1", "u2", "u4")


def test_what_somebody_deleted_by_hand_upstream_is_no_404_for_ever(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", *uids(3)))
    agent.sync()
    gone = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u1@example.com")
    del scim.users[gone]
    for item in scim.groups.values():
        item["members"] = [member for member in item["members"] if member["value"] != gone]
    app_b = next(scim_id for scim_id, item in scim.groups.items() if item["displayName"] == "app-b")
    del scim.groups[app_b]

    agent.sync("--full")
    report = agent.sync()

    assert report["exit_code"] == 0
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(3))}
    assert agent.sync()["counts"]["planned"] == 0


def test_forty_four_people_below_a_threshold_are_not_lost_in_one_group(agent: Agent, scim: ScimService) -> None:
    """Of a thousand people 44 are less than one in twenty; of their group they are nearly all."""
    count = 200
    agent.configure(scim, guard={"users": 50})
    agent.ldif.write_text(people(count) + group("app-all", *uids(count)) + group("app-small", *uids(46)))
    agent.sync()
    agent.ldif.write_text(people(count) + group("app-all", *uids(count)) + group("app-small", *uids(2)))

    report = agent.sync()

    assert report["exit_code"] == 3
    assert "group app-small would lose 44 of 46 members" in report["sentences"][0]
    assert scim.membership()["app-small"] == mails(*uids(46))


def test_what_is_meant_is_let_through_by_one_command(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(60) + group("app-a", *uids(60)))
    agent.sync()
    agent.ldif.write_text(people(20) + group("app-a", *uids(20)))
    told = agent.sync()["sentences"][1]

    command = told.rpartition("rollcall ")[2].split()

    assert command[0] == "approve"
    assert agent.run(*command).code == 0
    assert agent.sync()["exit_code"] == 0
    assert scim.active() == mails(*uids(20))


def test_a_dry_run_and_the_run_after_it_are_the_same(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(9) + group("app-a", *uids(9)) + group("app-b", *uids(2)))
    agent.sync()
    agent.ldif.write_text(
        people(12).replace(person("u2"), "")
        + person("bad", mail="")
        + group("app-a", *uids(12)[3:], "bad")
        + group("app-b", "u0")
        + group("app-new", "u11")
    )
    dry = agent.run("plan", "--json")

    report = agent.sync()

    done_there = {verb: report["counts"][verb] for verb in dry.document["operations"]}
    assert done_there == dry.document["operations"]
    assert dry.code == report["exit_code"] == 1


def test_success_is_not_said_when_nobody_was_found(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, scope={"groups": ["name:ap-*", group_dn("app-x")]})
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))

    report = agent.sync()

    assert report["exit_code"] == 1
    assert '[scope] groups: no group answers to "name:ap-*"' in str(report["sentences"])
    assert f'[scope] groups: no group answers to "{group_dn("app-x")}"' in str(report["sentences"])
    assert scim.users == {}
