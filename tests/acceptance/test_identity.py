"""The anchor decides identity: renames, moves, names that pass to others, and accounts made again."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import SUFFIX, group, group_dn, people, person, person_dn
from tests.servers.scim_service import ScimService


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_a_rename_a_move_and_a_new_address_are_updates_of_the_same_account(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(person("old", anchor="a-1") + group("app-a", "old"))
    ready.sync()
    before = {user["id"] for user in scim.users.values()}
    moved = f"uid=new,ou=Elsewhere,{SUFFIX}"
    ready.ldif.write_text(person("new", anchor="a-1", mail="new@partner.example", dn=moved) + group("app-a", moved))

    report = ready.sync()

    assert {user["id"] for user in scim.users.values()} == before
    assert scim.membership() == {"app-a": {"new@partner.example"}}
    assert report["counts"]["update user"] == report["counts"]["writes"] == 1


def test_a_group_that_still_lists_the_old_name_of_a_renamed_member_keeps_it(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(person("old", anchor="a-1") + person("u1") + group("app-a", "old", "u1"))
    ready.sync()
    # The server renames the entry first and corrects the group a moment later.
    ready.ldif.write_text(person("new", anchor="a-1") + person("u1") + group("app-a", "old", "u1"))

    ready.sync()

    assert scim.membership() == {"app-a": mails("new", "u1")}
    assert scim.active() == mails("new", "u1")


def test_a_posix_group_that_goes_on_listing_an_old_uid_loses_its_owner_with_the_read_after_next(
    ready: Agent, scim: ScimService
) -> None:
    posix = (
        f"dn: {group_dn('app-p')}\nobjectClass: posixGroup\nentryUUID: p\ncn: app-p\nmemberUid: joe\nmemberUid: u1\n\n"
    )
    dn = person_dn("same")
    ready.ldif.write_text(person("joe", anchor="a-1", mail="j@example.com", dn=dn) + person("u1") + posix)
    ready.sync()
    ready.ldif.write_text(person("josephine", anchor="a-1", mail="j@example.com", dn=dn) + person("u1") + posix)

    ready.sync()
    first = scim.membership()
    ready.sync()

    assert first == {"app-p": {"j@example.com", "u1@example.com"}}
    assert scim.membership() == {"app-p": {"u1@example.com"}}


def test_somebody_who_takes_over_a_dead_name_is_not_mistaken_for_its_owner(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(person("joe", anchor="first") + person("u1") + group("app-a", "joe", "u1"))
    ready.sync()
    ready.ldif.write_text(
        person("joe", anchor="second", mail="joe.two@example.com") + person("u1") + group("app-a", "joe", "u1")
    )

    ready.sync()

    assert scim.active() == mails("joe.two", "u1")
    assert scim.membership() == {"app-a": mails("joe.two", "u1")}


def test_an_account_made_again_with_the_same_address_takes_over_what_stands_upstream(
    ready: Agent, scim: ScimService
) -> None:
    ready.ldif.write_text(
        person("joe", anchor="first") + people(2) + group("app-a", "joe", "u0") + group("app-b", "joe", "u1")
    )
    ready.sync()
    before = {user["userName"]: user["id"] for user in scim.users.values()}
    ready.ldif.write_text(
        person("joe", anchor="second") + people(2) + group("app-a", "joe", "u0") + group("app-b", "u1")
    )

    report, again = ready.sync(), ready.sync()

    assert (report["exit_code"], again["counts"]["requests"]) == (0, 0)
    assert {user["userName"]: user["id"] for user in scim.users.values()} == before
    assert scim.users[before["joe@example.com"]]["externalId"] == "second"
    assert scim.active() == mails("joe", "u0", "u1")
    assert scim.membership() == {"app-a": mails("joe", "u0"), "app-b": mails("u1")}
