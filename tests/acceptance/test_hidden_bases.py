"""A base that the account cannot read: what shows below it counts, and where nothing does nobody is taken for gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.scripted_directory import EVERYBODY, PEOPLE, directory_play
from tests.acceptance.scripted_domain import domain_play
from tests.acceptance.test_own_eyes import SAMBA, scripted, without_the_right
from tests.agent_runner import NO_LIMITS, Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, anchor_of, group, group_dn, people, person_dn, uids
from tests.ldif_text import person as person_entry
from tests.servers.ber import elements
from tests.servers.directory_389 import Directory389
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import ELSEWHERE, GROUPS
from tests.servers.scripted_active_directory import PEOPLE as UNIT
from tests.servers.scripted_active_directory import group_dn as account_group
from tests.servers.scripted_active_directory import person as account
from tests.servers.scripted_ldap import Message, Script, ScriptedLdap, Search, done, person

ACCOUNT, PASSWORD = f"cn=rc,{SUFFIX}", "abcDEF123456"
NEW_ACCOUNT = (
    f"dn: {ACCOUNT}\nchangetype: add\nobjectClass: applicationProcess\nobjectClass: simpleSecurityObject\ncn: rc\n"
    f"userPassword: {PASSWORD}\n\n"
)


def rights(shown: str = "") -> str:
    """On 389, to everything or to what answers to a filter."""
    return (
        f"dn: {SUFFIX}\nchangetype: modify\nreplace: aci\n"
        'aci: (targetattr = "objectClass || nsUniqueId || modifyTimestamp || uid || cn || sn || mail || member")'
        + (f'(targetfilter = "{shown}")' if shown else "")
        + f'(version 3.0; acl "x"; allow (read, search) userdn = "ldap:///{ACCOUNT}";)\n'
    )


# Rights that are given entry by entry: of people and groups alone. The base, and the units in it, are not shown.
PEOPLE_AND_GROUPS = "(|(objectClass=inetOrgPerson)(objectClass=groupOfNames))"
UNIT_DN, PEOPLE_DN = f"ou=Unit,{SUFFIX}", f"ou=People,{SUFFIX}"


def without(*dns: str) -> Script:
    """The server answers with success, and does not show these entries."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        if search.base in dns and search.scope == 0:
            return [done()]
        return [message for message in honest if not message.is_entry or _name(message) not in dns]

    return script


def _name(message: Message) -> str:
    return elements(elements(message.operation)[0][1])[0][1].decode()


def directory_with_a_unit() -> ScriptedLdap:
    directory = ScriptedLdap(PEOPLE)
    directory.entries[UNIT_DN] = organizational_unit(UNIT_DN)
    return directory


def organizational_unit(dn: str) -> dict[str, Sequence[bytes]]:
    return {"objectclass": [b"organizationalUnit"], "entryuuid": [anchor_of(dn).encode()], "ou": [b"Unit"]}


def test_whoever_is_deleted_below_a_base_of_389_that_is_not_shown_leaves(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    (tmp_path / "389").mkdir()
    server = Directory389(tmp_path / "389")
    server.load(plain(people(30) + group("app-a", *uids(20)) + group("app-b", *uids(30))))
    with server:
        server.modify(NEW_ACCOUNT + rights(PEOPLE_AND_GROUPS))
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


def test_rights_of_389_that_are_narrowed_take_nobody_out_who_is_out_of_sight_now(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    """Of the unit of the contractors one shows still, and neither the unit itself nor any other."""
    (tmp_path / "389").mkdir()
    server = Directory389(tmp_path / "389")
    unit = f"dn: {UNIT_DN}\nobjectClass: organizationalUnit\nou: Unit\n\n"
    contractors = {f"c{number}": f"uid=c{number},{UNIT_DN}" for number in range(8)}
    entries = "".join(person_entry(uid, dn=dn) for uid, dn in contractors.items())
    server.load(plain(people(30) + unit + entries + group("app-a", *uids(30), *contractors.values())))
    bases = {"user_base_dn": [PEOPLE_DN, UNIT_DN], "group_base_dn": f"ou=Groups,{SUFFIX}"}
    with server:
        server.modify(NEW_ACCOUNT + rights())
        agent.configure(scim, server.settings(bind_dn=ACCOUNT, bind_password=PASSWORD, **bases), guard=NO_LIMITS)
        agent.sync()
        everybody = scim.active()
        server.modify(rights("(|(!(|(uid=c*)(ou=Unit)))(uid=c0))"))
        reports = [agent.sync(), agent.sync()]
        server.modify(rights())
        after = agent.sync()

    assert len(everybody) == 38
    assert [report["exit_code"] for report in reports] == [4, 4]
    assert f"{UNIT_DN} at " in reports[1]["sources"][0]["reason"]
    assert scim.active() == everybody
    assert after["exit_code"] == 0


@pytest.mark.parametrize("changes", ["auto", "timestamps"])
def test_a_base_that_goes_out_of_sight_alone_keeps_everybody_until_that_is_accepted_by_hand(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    """Whether what is below it went out of sight, too, or away, nothing tells."""
    with directory_play(agent, scim, directory_with_a_unit(), changes=changes) as play:
        play.lose("u25")
        reports = [play.cycle(without(SUFFIX)), play.cycle(without(SUFFIX))]

        assert [report.exit_code for report in reports] == [4, 4]
        assert [report.sources[0]["extent"] for report in reports] == ["full", "full"]
        assert "could be read before, and the account may not see it any more" in str(reports[1].sources[0]["reason"])
        assert play.nobody_lost_anything()

        play.directory.script = without(SUFFIX)
        accepted = agent.sync("--full")
        play.directory.script = without(SUFFIX)
        after = agent.sync()

        assert [accepted["exit_code"], after["exit_code"]] == [0, 0]
        assert scim.active() == EVERYBODY - {"u25@example.com"}


@pytest.mark.parametrize("hidden", [(), (PEOPLE_DN,)], ids=["all others read", "beside one that never could be"])
def test_who_goes_out_of_sight_with_their_base_is_not_taken_for_gone(
    scim: ScimService, agent: Agent, hidden: tuple[str, ...]
) -> None:
    directory = directory_with_a_unit()
    directory.entries[PEOPLE_DN] = organizational_unit(PEOPLE_DN)
    members = [f"uid=c1,{UNIT_DN}", f"uid=c2,{UNIT_DN}"]
    directory.entries |= {members[0]: person("c1"), members[1]: person("c2")}
    everybody = directory.entries[group_dn("app-all")]
    everybody["member"] = [*everybody["member"], *(member.encode() for member in members)]
    directory.script = without(*hidden)
    with directory:
        bases = {"user_base_dn": [PEOPLE_DN, UNIT_DN], "group_base_dn": SUFFIX}
        agent.configure(scim, directory.settings(**bases), guard=NO_LIMITS)
        before = agent.sync()
        directory.script = without(*hidden, UNIT_DN, members[1])
        reports = [agent.sync(), agent.sync()]

    assert before["exit_code"] == 0
    assert [report["exit_code"] for report in reports] == [4, 4]
    assert scim.active() == EVERYBODY | {"c1@example.com", "c2@example.com"}


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


def test_a_base_that_was_hidden_and_shows_itself_is_no_other_directory(scim: ScimService, agent: Agent) -> None:
    bases = {"user_base_dn": SUFFIX, "group_base_dn": [SUFFIX, UNIT_DN]}
    directory = directory_with_a_unit()
    directory.script = without(SUFFIX)
    with directory:
        agent.configure(scim, directory.settings(**bases, group_filter="(cn=*)"), guard=NO_LIMITS)
        first = agent.sync()
        directory.script = lambda _search, honest: honest
        reports = [agent.sync(), agent.sync()]

    assert [report["exit_code"] for report in (first, *reports)] == [0, 0, 0]
    assert [report["sources"][0]["extent"] for report in reports] == ["full", "incremental"]


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


def test_a_base_of_a_domain_that_is_hidden_when_only_a_full_read_can_tell_what_changed_keeps_everybody(
    scim: ScimService, agent: Agent
) -> None:
    """No number has risen, so the increment has not looked at the bases before it was refused."""

    def hiding_the_base(search: Search, honest: list[Message]) -> list[Message]:
        shown = honest if search.base != ELSEWHERE else [message for message in honest if not message.is_entry]
        return without_the_right(search, shown)

    domain, partner = scripted(), f"CN=x1,{ELSEWHERE}"
    domain.add(partner, account("x1", replpropertymetadata=[b"\x01"]))
    domain.join(account_group("app-all"), partner)
    with domain_play(agent, scim, domain, base_dn=[UNIT, GROUPS, ELSEWHERE]) as play:
        before = play.standing()
        domain.unseen.add(partner)
        domain.root["vendorname"] = SAMBA
        report = play.cycle(hiding_the_base)

        assert "x1@example.com" in before[1]
        assert "without that right only a controller of Windows" in str(report.sources[0]["note"])
        assert report.exit_code == 4
        assert play.standing() == before


@pytest.mark.parametrize("changes", ["usn", "full"])
def test_a_base_of_a_domain_that_another_account_does_not_see_keeps_everybody_though_changes_are_found_otherwise(
    scim: ScimService, agent: Agent, changes: str
) -> None:
    """The account may not use DirSync, so the administrator asks for another way, and nothing has changed since."""

    def hiding_the_base(search: Search, honest: list[Message]) -> list[Message]:
        return honest if search.base != ELSEWHERE else [message for message in honest if not message.is_entry]

    domain, partner = scripted(), f"CN=x1,{ELSEWHERE}"
    domain.add(partner, account("x1", replpropertymetadata=[b"\x01"]))
    domain.join(account_group("app-all"), partner)
    with domain_play(agent, scim, domain, base_dn=[UNIT, GROUPS, ELSEWHERE]) as play:
        before = play.standing()
        domain.unseen.add(partner)
        agent.sources[0]["changes"] = changes
        agent.write()
        report = play.cycle(hiding_the_base)

        assert "x1@example.com" in before[1]
        assert (report.exit_code, report.sources[0]["completeness"]) == (4, "partial")
        assert play.standing() == before
