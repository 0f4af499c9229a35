"""Without the right to replicate changes DirSync is used only where it leaves out nothing that the account may see."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.active_directory.dirsync import DirSync
from connectors.ldap import checkpoint, source
from tests.acceptance.active_directory_changes import PEOPLE, beginning, record_of_members
from tests.acceptance.kept_checkpoint import kept
from tests.acceptance.scripted_domain import domain_play
from tests.acceptance.test_active_directory import READER, REPLICATE
from tests.acceptance.test_guide_active_directory import (
    HARDEN,
    HARDENED,
    ORDINARY,
    WORK,
    as_account,
    configure,
    on_samba,
)
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.samba import NAMING_CONTEXT, READER_PASSWORD, SambaDomain
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import DIRSYNC, ScriptedActiveDirectory, group_dn, person_dn
from tests.servers.scripted_ldap import Message, Script, Search, done

SAMBA = [b"Samba Team (https://www.samba.org)"]
COMPARED = "281416c0-1968-11d0-a28f-00aa003049e2"  # replPropertyMetaData, by its schemaIDGUID (MS-ADA3)
# What everybody may do with a protected administrator, whatever else is denied (MS-ADTS 3.1.1.6.1.2).
ADMINISTRATOR = "(A;;RPLCLORC;;;AU)"
NO_RIGHT, OWN_EYES = 50, 1
DISABLED = "changetype: modify\nreplace: userAccountControl\nuserAccountControl: 546\n\n"


def flags_of(search: Search) -> int:
    """The first INTEGER in the control's value: bit 0 is LDAP_DIRSYNC_OBJECT_SECURITY."""
    value = search.controls[DIRSYNC]
    return int.from_bytes(value[4:8], "big") & 1


def without_the_right(search: Search, honest: list[Message]) -> list[Message]:
    return [done(NO_RIGHT)] if DIRSYNC in search.controls and flags_of(search) != OWN_EYES else honest


def scripted(people: int = 8, **of_root: list[bytes]) -> ScriptedActiveDirectory:
    """Whose people show everything, replPropertyMetaData included."""
    domain = ScriptedActiveDirectory(people)
    for held in domain.entries.values():
        held["replpropertymetadata"] = [b"\x01"]
    domain.root |= of_root
    domain.script = without_the_right
    return domain


def with_the_right(people: int) -> ScriptedActiveDirectory:
    """Samba, where the account may replicate directory changes."""
    domain = scripted(people, vendorname=SAMBA)
    domain.script = lambda _search, honest: honest
    return domain


def silent_about(dn: str) -> Script:
    """As Samba's DirSync is about an entry that hides what it compares."""

    def script(search: Search, honest: list[Message]) -> list[Message]:
        reports = DIRSYNC in search.controls
        return [message for message in honest if not (reports and dn.encode() in message.operation)]

    return script


def strategy(agent: Agent) -> str:
    return kept(agent).strategy


def test_a_windows_controller_is_asked_for_what_the_account_may_see(scim: ScimService, agent: Agent) -> None:
    with domain_play(agent, scim, scripted()) as play:
        play.directory.leave(group_dn("app-all"), person_dn("u3"))
        report = play.cycle(without_the_right)

        assert strategy(agent) == "DirSync"
        assert report.sources[0]["extent"] == "incremental"
        assert play.equal()


@pytest.mark.parametrize("of_root", [{"vendorname": SAMBA}, {"supportedldappolicies": []}], ids=["Samba", "unknown"])
def test_any_other_controller_is_asked_by_number(
    scim: ScimService, agent: Agent, of_root: dict[str, list[bytes]]
) -> None:
    with domain_play(agent, scim, scripted(**of_root)) as play:
        play.directory.leave(group_dn("app-all"), person_dn("u3"))
        report = play.cycle(without_the_right)

        assert strategy(agent) == "uSNChanged"
        assert report.sources[0]["extent"] == "incremental"
        assert play.equal()


@pytest.mark.parametrize("changed", [True, False], ids=["after a change", "though nothing changed"])
def test_a_position_of_before_is_refused_and_everything_read(scim: ScimService, agent: Agent, changed: bool) -> None:
    with domain_play(agent, scim, scripted()) as play:
        play.directory.root["vendorname"] = SAMBA
        if changed:
            play.directory.leave(group_dn("app-all"), person_dn("u3"))
        report = play.cycle(without_the_right)

        assert report.sources[0]["extent"] == "full"
        assert "without that right only a controller of Windows" in str(report.sources[0]["note"])
        assert strategy(agent) == "uSNChanged"
        assert play.equal()


def test_one_of_many_that_hides_what_samba_compares_is_followed_by_number(scim: ScimService, agent: Agent) -> None:
    """Whether or not the account may replicate changes; and before a full read only a few are looked at."""
    late = person_dn("u25")
    domain = with_the_right(30)
    del domain.entries[late]["replpropertymetadata"]
    with domain_play(agent, scim, domain) as play:
        second = play.cycle()
        domain.modify(late, useraccountcontrol=[b"514"])
        third = play.cycle(silent_about(late))

        assert f"{late} does not show its replPropertyMetaData" in str(second.sources[0]["note"])
        assert strategy(agent) == "uSNChanged"
        assert [report.sources[0]["extent"] for report in (second, third)] == ["full", "incremental"]
        assert "u25@example.com" not in scim.active()


def test_whoever_begins_to_hide_what_samba_compares_is_not_missed(scim: ScimService, agent: Agent) -> None:
    """Tombstones are shown, so that nobody is listed; DirSync answers with success, and without the one who hides."""
    leaver = person_dn("u3")
    with domain_play(agent, scim, with_the_right(8)) as play:
        assert strategy(agent) == "DirSync"
        del play.directory.entries[leaver]["replpropertymetadata"]
        play.directory.modify(leaver, useraccountcontrol=[b"514"])
        play.directory.modify(person_dn("u5"), sn=[b"Later"])
        report = play.cycle(silent_about(leaver))

        assert report.exit_code == 0
        assert f"{leaver} does not show the account its replPropertyMetaData" in str(report.sources[0]["note"])
        assert "u3@example.com" not in scim.active()


def test_what_an_earlier_version_has_missed_is_found_with_the_first_cycle(
    scim: ScimService, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked no entry beyond the first few for what Samba compares, and nothing has changed since."""
    leaver = person_dn("u25")
    domain = with_the_right(30)
    del domain.entries[leaver]["replpropertymetadata"]
    with monkeypatch.context() as earlier:
        for module in (checkpoint, source):
            earlier.setattr(module, "FORMAT", 3)
        earlier.setattr(DirSync, "needed", ())
        with domain_play(agent, scim, domain) as play:
            domain.modify(leaver, useraccountcontrol=[b"514"])
            play.cycle(silent_about(leaver))
            assert "u25@example.com" in scim.active()
            earlier.undo()
            report = play.cycle(silent_about(leaver))

            assert report.sources[0]["extent"] == "full"
            assert "u25@example.com" not in scim.active()


@pytest.mark.parametrize("right", [True, False], ids=["with the right to replicate", "without it"])
def test_one_administrator_among_the_people_hides_nobody_elses_changes(
    tmp_path: Path, agent: Agent, scim: ScimService, right: bool
) -> None:
    """In a hardened domain the first person shows everything, and the others what the guide's rights give."""
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning())
    on_samba(domain, tmp_path, ORDINARY, {'--userou="OU=Services"': f'--userou="OU=Services" {READER_PASSWORD}'})
    domain.load(HARDEN)
    on_samba(domain, tmp_path, HARDENED)
    if right:
        on_samba(domain, tmp_path, WORK)
    configure(agent, scim, domain)
    with domain:
        shown = as_account(domain, "ldapsearch", "-LLL", "-b", PEOPLE, "(objectClass=user)", "1.1")
    first = next(line[4:] for line in shown.splitlines() if line.startswith("dn: "))
    domain.grant(first, ADMINISTRATOR, to="rollcall")
    leaver = next(f"u{number}" for number in (2, 3) if f"CN=u{number}," not in first)
    with domain:
        told = " ".join(agent.run("check").out.split())
        agent.sync()
        domain.modify(f"dn: CN={leaver},{PEOPLE}\n{DISABLED}")
        report = agent.sync()

    assert f"{leaver}@corp.test" not in scim.active()
    assert report["sources"][0]["extent"] == "incremental"
    assert "changes are found by uSNChanged" in told


@pytest.mark.parametrize("right", [REPLICATE, ""], ids=["with the right", "without it"])
@pytest.mark.parametrize("when", ["before the first read", "between two reads"])
def test_a_person_and_a_group_that_hide_what_dirsync_goes_by_are_followed(
    tmp_path: Path, scim: ScimService, agent: Agent, when: str, right: str
) -> None:
    """Samba goes by what the account may read, whether or not it may replicate directory changes."""
    domain = SambaDomain(tmp_path / "dc")
    domain.load(beginning() + READER, passwords={"reader": READER_PASSWORD})
    if right:
        domain.grant(NAMING_CONTEXT, right)
    reader = {"bind_dn": "reader@corp.test", "bind_password": READER_PASSWORD}
    agent.configure(scim, domain.settings(base_dn="OU=Company,DC=corp,DC=test", **reader), guard=NO_LIMITS)

    def hide() -> None:
        for dn in (f"CN=u2,{PEOPLE}", "CN=app-a,OU=Groups,OU=Company,DC=corp,DC=test"):
            domain.grant(dn, f"(OD;;RP;{COMPARED};;PSID)")

    if when == "before the first read":
        hide()
    with domain:
        agent.sync()
    assert (strategy(agent) == "DirSync") is (bool(right) and when == "between two reads")
    if when == "between two reads":
        hide()
    with domain:
        domain.modify(record_of_members("app-a", "delete", "u1") + f"dn: CN=u2,{PEOPLE}\n{DISABLED}")
        agent.sync()

    assert "u1@corp.test" not in scim.membership()["app-a"]
    assert "u2@corp.test" not in scim.active()
