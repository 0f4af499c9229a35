"""What `check` says where it cannot know whether anybody is disabled, by a server that a test plays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.base import Finding
from tests.connectors.test_ldap_trouble import check
from tests.ldif_text import person_dn
from tests.servers.scripted_ldap import Message, ScriptedLdap, Search, done

LOCKED = "pwdAccountLockedTime"
TYPES = (
    b"( 0.9.1 NAME 'uid' DESC 'no NAME of any other' )",
    b"( 1.3.6.1.4.1.42.2.27.8.1.17 NAME ( 'lockedSince' 'pwdAccountLockedTime' ) USAGE directoryOperation )",
    b"( 0.9.2 DESC 'has no name' )",
)
TOO_MUCH = 11  # adminLimitExceeded


@pytest.fixture
def server() -> Iterator[ScriptedLdap]:
    with ScriptedLdap(people=3) as server:
        server.root["subschemasubentry"] = [b"cn=Subschema"]
        server.entries["cn=Subschema"] = {"attributetypes": TYPES}
        yield server


def said_of_locks(server: ScriptedLdap, **settings: object) -> list[Finding]:
    findings = check(server.settings(**settings))
    assert all(finding.ok for finding in findings), findings
    return [finding for finding in findings if LOCKED in finding.message]


def test_an_attribute_that_the_schema_has_under_one_of_its_names_and_nobody_shows_is_told(server: ScriptedLdap) -> None:
    (told,) = said_of_locks(server)

    assert told.message.startswith(f"nobody shows {LOCKED} (inactive_when)")
    assert LOCKED in told.remedy


def test_somebody_who_shows_it_is_enough(server: ScriptedLdap) -> None:
    server.entries[person_dn("u1")]["pwdaccountlockedtime"] = [b"20260101000000Z"]

    assert said_of_locks(server) == []


@pytest.mark.parametrize("hidden", ["cn=Subschema", "subschemasubentry"])
def test_a_server_that_hides_its_schema_is_not_said_to_lack_anything(server: ScriptedLdap, hidden: str) -> None:
    server.entries.pop(hidden, None)
    server.root.pop(hidden, None)

    assert said_of_locks(server) == []


def test_what_the_settings_do_not_name_is_not_asked_for(server: ScriptedLdap) -> None:
    assert said_of_locks(server, inactive_when=[]) == []


def test_a_search_that_the_server_cuts_short_is_told_and_no_failure(server: ScriptedLdap) -> None:
    def refuses(search: Search, honest: list[Message]) -> list[Message]:
        return [done(TOO_MUCH)] if LOCKED.encode() in search.filter[1] else honest

    server.script = refuses

    (told,) = said_of_locks(server)

    assert told.message.startswith(f"whether anybody shows {LOCKED} is not known. ")
