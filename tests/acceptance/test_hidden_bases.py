"""A base that the account cannot read: what shows below it counts, and where nothing does nobody is taken for gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.scripted_directory import EVERYBODY, PEOPLE, directory_play
from tests.acceptance.scripted_domain import domain_play
from tests.acceptance.test_own_eyes import scripted, without_the_right
from tests.agent_runner import NO_LIMITS, Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, anchor_of, group, group_dn, people, person_dn, uids
from tests.servers.ber import elements
from tests.servers.directory_389 import Directory389
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import PEOPLE as UNIT
from tests.servers.scripted_ldap import Message, Script, ScriptedLdap, Search, done

ACCOUNT, PASSWORD = f"cn=rc,{SUFFIX}", "abcDEF123456"
# Rights that are given entry by entry: of people and groups alone. The base, and the units in it, are not shown.
RIGHTS = (
    f"dn: {ACCOUNT}\nchangetype: add\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: rc\n"
    f"userPassword: {PASSWORD}\n\n"
    f"dn: {SUFFIX}\nchangetype: modify\nreplace: aci\n"
    'aci: (targetattr = "objectClass || nsUniqueId || modifyTimestamp || uid || cn || sn || mail || member")'
    '(targetfilter = "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))")'
    f'(version 3.0; acl "x"; allow (read, search) userdn = "ldap:///{ACCOUNT}";)\n'
)
UNIT_DN = f"ou=Unit,{SUFFIX}"


def without(dn: str) -> Script:
    """The server answers with success, and does not show this entry."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.base == dn and search.scope == 0:
            return [done()]
        return [message for message in honest if not message.is_entry or _name(message) != dn]

    return script


def _name(message: Message) -> str:
    return elements(elements(message.operation)[0][1])[0][1].decode()


def directory_with_a_unit() -> ScriptedLdap:
    directory = ScriptedLdap(PEOPLE)
    directory.entries[UNIT_DN] = {
        "objectclass": [b"organizationalUnit"],
        "entryuuid": [anchor_of(UNIT_DN).encode()],
        "ou": [b"Unit"],
    }
    return directory


def test_whoever_is_deleted_below_a_base_of_389_that_is_not_shown_leaves(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    (tmp_path / "389").mkdir()
    server = Directory389(tmp_path / "389")
    server.load(plain(people(30) + group("app-a", *uids(20)) + group("app-b", *uids(30))))
    with server:
        server.modify(RIGHTS)
        agent.configure(scim, server.settings(bind_dn=ACCOUNT, bind_password=PASSWORD), guard=NO_LIMITS)
        told = " ".join(agent.run("check").out.split())
        agent.sync()
        server.modify(
            f"dn: {group_dn('app-a')}\nchangetype: modify\ndelete: member\nmember: {person_dn('u1')}\n\n"
            f"dn: {person_dn('u3')}\nchangetype: delete\n\n"
        )
        report = agent.sync()

    assert report["exit_code"] == 0
    assert "u3@example.com" not in scim.active()
    assert "u1@example.com" not in scim.membership()["app-a"]
    assert report["sources"][0]["extent"] == "full"
    assert "so every read is full" in report["sources"][0]["note"]
    assert "NOT OK" not in told
    assert f"{SUFFIX} cannot be read itself, but what is below it can, so every read is full" in told


@pytest.mark.parametrize("changes", ["auto", "timestamps"])
def test_a_base_that_goes_out_of_sight_alone_keeps_nobody(scim: ScimService, agent: Agent, changes: str) -> None:
    with directory_play(agent, scim, directory_with_a_unit(), changes=changes) as play:
        play.lose("u25")
        reports = [play.cycle(without(SUFFIX)), play.cycle(without(SUFFIX))]

        assert [report.exit_code for report in reports] == [0, 0]
        assert [report.sources[0]["extent"] for report in reports] == ["full", "full"]
        assert scim.active() == EVERYBODY - {"u25@example.com"}


def test_a_base_below_which_nothing_shows_takes_nobody_out(scim: ScimService, agent: Agent) -> None:
    bases = {"user_base_dn": [SUFFIX, UNIT_DN], "group_base_dn": SUFFIX}
    with directory_play(agent, scim, directory_with_a_unit(), **bases) as play:
        play.lose("u25")
        report = play.cycle(without(UNIT_DN))

        assert report.exit_code == 4
        assert play.nobody_lost_anything()
        reason = str(report.sources[0]["reason"])
        assert reason.startswith(f"source corp: there is no {UNIT_DN} at ")
        assert reason.count("source corp") == reason.count("What was not read stays as it was.") == 1
        play.directory.script = without(UNIT_DN)
        told = " ".join(agent.run("check").out.split())
        assert f"NOT OK source corp: there is no {UNIT_DN}, or the account may not see it" in told


def test_a_unit_that_is_renamed_while_its_hidden_base_is_read_is_noticed(scim: ScimService, agent: Agent) -> None:
    with directory_play(agent, scim, directory_with_a_unit()) as play:
        hide, renamed = without(SUFFIX), False

        def script(search: Search, honest: list[Message]) -> list[Message]:
            nonlocal renamed
            if search.reads and not renamed:
                renamed = True
                play.directory.entries[f"ou=Other,{SUFFIX}"] = play.directory.entries.pop(UNIT_DN)
                play.lose("u25")
            return hide(search, honest)

        report = play.cycle(script)

        assert report.exit_code == 4
        assert "a container was added, renamed, moved or deleted while" in str(report.sources[0]["reason"])
        assert play.nobody_lost_anything()


def test_a_hidden_base_of_a_domain_is_told_as_such(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, scripted()) as play:
        before = play.standing()
        play.directory.unseen |= {dn for dn in play.directory.entries if dn.endswith(UNIT)}
        report = play.cycle(without_the_right, full=True)

        assert report.exit_code == 4
        assert "DirSync" not in str(report.sources[0]["note"])
        assert f"there is no {UNIT}" in str(report.sources[0]["reason"])
        assert play.standing() == before
