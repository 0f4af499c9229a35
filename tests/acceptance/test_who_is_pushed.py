"""Who is in a selected group: external members, subdomains, nested groups."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn
from tests.servers.scim_service import ScimService


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_an_external_member_is_pushed_like_any_other_unless_the_policy_skips(ready: Agent, scim: ScimService) -> None:
    guest = person("guest", mail="guest@partner.example")
    ready.ldif.write_text(people(2) + guest + group("app-a", "u0", "u1", "guest"))

    ready.sync()
    provisioned = scim.membership()["app-a"]
    ready.configure(scim, external={"policy": "skip"})
    report = ready.sync()

    assert provisioned == {*mails("u0", "u1"), "guest@partner.example"}
    assert report["exit_code"] == 0
    assert scim.membership()["app-a"] == mails("u0", "u1")
    assert scim.active() == mails("u0", "u1")


def test_somebody_who_loses_the_address_is_not_taken_for_external(ready: Agent, scim: ScimService) -> None:
    ready.configure(scim, external={"policy": "skip"})
    ready.ldif.write_text(people(2) + group("app-a", "u0", "u1"))
    ready.sync()
    ready.ldif.write_text(person("u0") + person("u1", mail="") + group("app-a", "u0", "u1"))

    report = ready.sync()

    assert report["counts"]["writes"] == 0
    assert report["exit_code"] == 1
    assert scim.active() == mails("u0", "u1")


def test_subdomains_are_managed_only_when_the_setting_says_so(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(
        person("a", mail="a@sub.EXAMPLE.com") + person("b", mail="b@notexample.com") + group("app-a", "a", "b")
    )
    without = ready.run("external", "--json").document
    ready.configure(scim, external={"subdomains": True})
    with_them = ready.run("external", "--json").document

    assert [row["external"] for row in without["groups"]] == [2]
    assert [row["external"] for row in with_them["groups"]] == [1]
    assert [user["email"] for user in with_them["external_users"]] == ["b@notexample.com"]


def test_external_lists_every_external_user_as_csv(ready: Agent) -> None:
    ready.ldif.write_text(
        person("a", mail="=a@partner.example") + person("b") + group("app-a", "a", "b") + group("app-b", "a")
    )
    file = ready.directory / "external.csv"

    done = ready.run("external", "--csv", str(file))

    assert done.code == 0
    assert file.read_text(encoding="utf-8-sig").splitlines()[1:] == [
        f'\'=a@partner.example,partner.example,external,True,True,False,,"{person_dn("a")}",corp,app-a; app-b'
    ]
    assert not (ready.state / "rollcall.sqlite3").exists()


def test_nested_groups_that_contain_each_other_are_flattened(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(
        people(4)
        + group("app-a", "u0", group_dn("team-b"))
        + group("team-b", "u1", group_dn("team-c"))
        + group("team-c", "u2", group_dn("team-b"), group_dn("app-a"))
    )

    assert ready.sync()["exit_code"] == 0
    assert scim.membership() == {"app-a": mails("u0", "u1", "u2")}


def test_a_change_deep_in_a_nested_group_reaches_the_selected_one(ready: Agent, scim: ScimService) -> None:
    outer = group("app-a", group_dn("team-b")) + group("team-b", group_dn("team-c"))
    ready.ldif.write_text(people(3) + outer + group("team-c", "u0", "u1"))
    ready.sync()
    ready.ldif.write_text(people(3) + outer + group("team-c", "u1", "u2"))

    ready.sync()

    assert scim.membership() == {"app-a": mails("u1", "u2")}
