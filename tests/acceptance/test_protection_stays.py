"""Whom a line of [guard] protected has named once stays protected, renamed or moved, as long as the line stands."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn, uids
from tests.older_schema import TO_SCHEMA_11
from tests.servers.scim_service import ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}
BOSS = "u0@example.com"
AT_THE_BOARD = person_dn("u0").replace("ou=People", "ou=Board")


def protect(agent: Agent, scim: ScimService, *lines: str) -> None:
    agent.configure(scim, guard=OPEN | {"protected": list(lines)})


def listed(*members: str) -> str:
    return people(5) + group("app-a", *members)


def moved(*members: str) -> str:
    rest = "".join(person(uid) for uid in uids(5)[1:])
    return person("u0", dn=AT_THE_BOARD) + rest + group("app-a", *members)


LISTED, MOVED, LEFT = listed(*uids(5)), moved(AT_THE_BOARD, *uids(5)[1:]), moved(*uids(5)[1:])


def cycle(agent: Agent, directory: str, *arguments: str) -> None:
    agent.ldif.write_text(directory)
    assert agent.sync(*arguments)["exit_code"] == 0


def still_there(scim: ScimService) -> bool:
    return BOSS in scim.active() and BOSS in scim.membership()["app-a"]


def is_protected(scim: ScimService) -> bool:
    return still_there(scim) and len(scim.active()) == 5


@pytest.mark.parametrize(
    "cycles",
    [[LISTED, MOVED, LEFT], [LISTED, LEFT], [LISTED, LISTED, LISTED, MOVED, LEFT], [LISTED, MOVED, MOVED, LEFT]],
)
def test_a_person_protected_by_dn_stays_so_after_a_move(agent: Agent, scim: ScimService, cycles: list[str]) -> None:
    protect(agent, scim, person_dn("u0"))

    for directory in cycles:
        cycle(agent, directory)

    assert still_there(scim)
    cycle(agent, LEFT, "--full")
    assert still_there(scim)


def test_a_group_protected_by_dn_stays_so_after_a_move(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, group_dn("app-a"))
    cycle(agent, people(5) + group("app-a", *uids(5)))

    elsewhere = group("app-a", *uids(5)).replace("ou=Groups", "ou=New")
    cycle(agent, people(5) + elsewhere)
    cycle(agent, people(5) + elsewhere.replace(f"member: {person_dn('u4')}\n", ""))

    assert is_protected(scim)


def test_who_was_protected_before_the_account_was_made_is_so_afterwards(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, LISTED)
    cycle(agent, MOVED)
    lost = next(number for number, user in scim.users.items() if user["userName"] == BOSS)
    del scim.users[lost]
    for held in scim.groups.values():
        held["members"] = [member for member in held["members"] if member["value"] != lost]
    cycle(agent, MOVED, "--full")
    cycle(agent, MOVED, "--full")
    assert still_there(scim)

    cycle(agent, LEFT)

    assert still_there(scim)


def test_after_a_lost_state_the_first_cycle_protects(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, LISTED)
    shutil.rmtree(agent.state)
    cycle(agent, LISTED)
    cycle(agent, LISTED)  # the group was in doubt, and what it has is known now

    cycle(agent, LEFT)

    assert still_there(scim)


def test_who_joined_after_the_back_up_and_moved_is_protected_by_the_name_in_the_audit_trail(
    agent: Agent, scim: ScimService
) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, "".join(person(uid) for uid in uids(5)[1:]) + group("app-a", *uids(5)[1:]))
    backup = (agent.state / "rollcall.sqlite3").read_bytes()
    cycle(agent, LISTED)
    for leftover in agent.state.glob("rollcall.sqlite3*"):
        leftover.unlink()
    (agent.state / "rollcall.sqlite3").write_bytes(backup)

    cycle(agent, LEFT)
    cycle(agent, LEFT)

    assert still_there(scim)


def test_another_setting_does_not_end_a_protection(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, LISTED)
    cycle(agent, LEFT)

    agent.sections["external"] = {"managed_domains": ["example.com", "example.org"]}
    agent.write()
    cycle(agent, LEFT)

    assert still_there(scim)


def test_another_line_does_not_end_a_protection_and_its_own_end_does(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, LISTED)
    cycle(agent, LEFT)

    protect(agent, scim, person_dn("u0").upper(), "mail:u1@example.com")
    cycle(agent, LEFT)
    assert still_there(scim)

    protect(agent, scim, "mail:u1@example.com")
    cycle(agent, LEFT)
    assert BOSS not in scim.active()
    assert len(scim.active()) == 4


def test_a_protection_that_comes_with_the_move_goes_by_the_name_that_was_known(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim)
    cycle(agent, LISTED)

    protect(agent, scim, person_dn("u0"))
    cycle(agent, LEFT)

    assert still_there(scim)


def test_an_upgrade_keeps_the_protection_of_who_has_moved(agent: Agent, scim: ScimService) -> None:
    protect(agent, scim, person_dn("u0"))
    cycle(agent, LISTED)
    cycle(agent, LEFT)
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        connection.executescript(
            f"{TO_SCHEMA_11} alter table create_attempt drop column name; drop table guarded_entry; "
            "update alembic_version set version_num = '0008';"
        )
        connection.execute("update fact set value = 'of the older version' where name like '%fingerprint'")

    cycle(agent, LEFT)

    assert still_there(scim)
    protect(agent, scim)
    cycle(agent, LEFT)
    assert BOSS not in scim.active()
