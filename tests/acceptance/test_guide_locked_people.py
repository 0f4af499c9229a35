"""The guide's account in OpenLDAP where the ppolicy overlay locks people out: with the right it sees who is locked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_guide_accounts import DOCUMENT, STRICT, give_account, mails, said_by, settings_of
from tests.agent_runner import NO_LIMITS, Agent
from tests.connectors.conftest import plain
from tests.guide import block_of, run_as_told
from tests.ldif_text import group, people, person_dn, uids
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

LOCKED = "pwdAccountLockedTime"
NOBODY_SHOWS = f"nobody shows {LOCKED} (inactive_when): either nobody is disabled by it, or the account may not read it"
PPOLICY = """
dn: cn=module{0},cn=config
changetype: modify
add: olcModuleLoad
olcModuleLoad: ppolicy.so

dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config
changetype: add
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: ppolicy
"""


def rights(also: str = "") -> str:
    ldif = block_of(DOCUMENT, "OpenLDAP", "ldif", "rollcall-rights.ldif")
    return ldif.replace("memberUid", f"memberUid,{also}") if also else ldif


def the_overlay(server: OpenLdap, place: Path) -> str:
    """What the guide's command prints, which tells whether the overlay is there."""
    told = block_of(DOCUMENT, "Locked by the ppolicy overlay", "sh")
    return run_as_told(told, {"ldapi:///": server.local_url}, place)


@pytest.fixture
def slapd(tmp_path: Path) -> Iterator[OpenLdap]:
    (tmp_path / "slapd").mkdir()
    server = OpenLdap(tmp_path / "slapd", access=STRICT, history=History.SESSION_LOG, online=True)
    server.load(plain(people(3) + group("app-a", *uids(3))))
    with server:
        yield server


@pytest.fixture
def locking(slapd: OpenLdap, tmp_path: Path) -> OpenLdap:
    """It has the overlay."""
    (tmp_path / "ppolicy.ldif").write_text(PPOLICY)
    run_as_told(f"ldapmodify -Q -Y EXTERNAL -H '{slapd.local_url}' -f ppolicy.ldif", {}, tmp_path)
    return slapd


def lock(server: OpenLdap, uid: str) -> None:
    server.modify(f"dn: {person_dn(uid)}\nchangetype: modify\nadd: {LOCKED}\n{LOCKED}: 000001010000Z\n")


def test_without_the_overlay_the_guide_s_command_prints_nothing_and_check_asks_for_no_right(
    slapd: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    give_account(slapd, tmp_path, rights())
    agent.configure(scim, settings_of(slapd))

    assert the_overlay(slapd, tmp_path) == ""
    assert LOCKED not in said_by(agent)


def test_the_right_cannot_be_given_without_the_overlay_as_the_guide_says(slapd: OpenLdap, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="handler exited with 1"):
        give_account(slapd, tmp_path, rights(LOCKED))


def test_with_the_right_whoever_is_locked_is_deactivated_and_check_asks_for_nothing(
    locking: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    assert "dn: olcOverlay={" in the_overlay(locking, tmp_path)
    give_account(locking, tmp_path, rights(LOCKED))
    agent.configure(scim, settings_of(locking), guard=NO_LIMITS)
    agent.sync()

    lock(locking, "u1")

    assert agent.sync()["exit_code"] == 0
    assert scim.active() == mails("u0", "u2")
    assert LOCKED not in said_by(agent)


def test_without_the_right_check_says_that_nobody_shows_who_is_locked_and_is_content(
    locking: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    give_account(locking, tmp_path, rights())
    agent.configure(scim, settings_of(locking), guard=NO_LIMITS)
    lock(locking, "u1")

    said = " ".join(said_by(agent).split())

    assert NOBODY_SHOWS in said
    assert f"let the account read and search {LOCKED} of the people" in said
    assert "NOT OK" not in said


def test_with_the_right_and_nobody_locked_check_says_so_too(
    locking: OpenLdap, tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    """It cannot tell one from the other."""
    give_account(locking, tmp_path, rights(LOCKED))
    agent.configure(scim, settings_of(locking))

    assert NOBODY_SHOWS in " ".join(said_by(agent).split())
