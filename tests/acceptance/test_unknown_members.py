"""Members that no source can name are kept, and told by the domain they point to, with the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, group_dn, people, person_dn, uids
from tests.servers.openldap import OpenLdap
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import ScriptedActiveDirectory, foreign_principal, foreign_principal_dn
from tests.servers.scripted_active_directory import group_dn as domain_group_dn

EMEA = "ou=people,dc=emea,dc=example"


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


def in_emea(*names: str) -> list[str]:
    return [f"cn={name},{EMEA}" for name in names]


def told(agent: Agent) -> list[dict[str, Any]]:
    """What `status` and `external` both say of unknown members."""
    status = agent.run("status", "--json").document["unknown_members"]
    assert agent.run("external", "--json").document["unknown_members"] == status
    return list(status)


def short(rows: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(row["domain"], row["members"], row["remedy"]) for row in rows]


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim)
    return agent


def test_members_of_a_domain_without_a_source_are_counted_once_and_told_with_it(
    ready: Agent, scim: ScimService
) -> None:
    emea = in_emea("a", "b", "c", "d")
    ready.ldif.write_text(people(3) + group("app-a", *uids(3), *emea) + group("app-b", "u0", *emea[:1]))

    report = ready.sync()

    assert report["exit_code"] == 0
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails("u0")}
    sentence = (
        f"4 members of app-a, app-b in emea.example that no source can name ({'; '.join(emea[:3])}; …): add a source "
        "for emea.example. What stands upstream is left alone."
    )
    assert told(ready) == [
        {
            "domain": "emea.example",
            "members": 4,
            "examples": emea[:3],
            "groups": ["app-a", "app-b"],
            "remedy": "add a source for emea.example",
            "sentence": sentence,
        }
    ]
    assert report["notices"] == [sentence]
    for command in ("sync", "external", "status"):
        done = ready.run(command)
        assert (done.code, done.out.count(f"- {sentence}\n")) == (0, 1), command


def test_every_domain_is_told_by_itself_and_a_name_without_one_by_its_end(ready: Agent) -> None:
    members = [*in_emea("a", "b"), "cn=x,ou=Sales,o=Partner", "cn=y,o=Partner,c=DE", "cn=z,dc=apac,dc=example"]
    ready.ldif.write_text(people(1) + group("app-a", "u0", *members))
    ready.sync()

    assert short(told(ready)) == [
        ("emea.example", 2, "add a source for emea.example"),
        ("apac.example", 1, "add a source for apac.example"),
        ("o=partner", 1, "add a source for o=partner"),
        ("o=partner,c=de", 1, "add a source for o=partner,c=de"),
    ]


def test_nested_groups_are_opened_and_the_selected_one_is_named(ready: Agent) -> None:
    ready.ldif.write_text(
        people(1) + group("app-a", "u0", group_dn("team")) + group("team", *in_emea("a")) + group("other", "ghost")
    )
    ready.sync()

    assert [(row["domain"], row["groups"]) for row in told(ready)] == [("emea.example", ["app-a"])]


def test_somebody_that_a_source_should_have_is_looked_for_in_that_source(ready: Agent) -> None:
    ready.ldif.write_text(people(1) + group("app-a", "u0", "ghost"))
    ready.sync()

    remedy = (
        "source corp was read and does not show them; check that its bases and filters include them, that its account "
        "may read them, and that they are still there"
    )
    assert short(told(ready)) == [("example.com", 1, remedy)]


def test_a_nested_group_that_is_out_of_sight_is_told_of(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(2) + group("app-a", "u0", group_dn("team")) + group("team", "u1"))
    ready.sync()
    ready.ldif.write_text(people(2) + group("app-a", "u0", group_dn("team")))

    report = ready.sync()

    assert (report["exit_code"], report["counts"]["writes"]) == (0, 0)
    assert scim.membership() == {"app-a": mails("u0", "u1")}
    assert [(row["domain"], row["examples"]) for row in told(ready)] == [("example.com", [group_dn("team")])]


def test_a_source_that_was_not_read_completely_is_the_reason(ready: Agent) -> None:
    ready.ldif.write_text(people(1) + group("app-a", "u0", "ghost") + "dn: uid=ghost,broken\nthis is no line\n")

    report = ready.sync()

    assert report["exit_code"] == 4
    remedy = told(ready)[0]["remedy"]
    assert remedy.startswith("source corp has not been read completely (source corp: ")
    assert remedy.endswith("); they are looked for again as soon as it is")


def test_whoever_becomes_known_is_told_of_no_longer(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(1) + group("app-a", "u0", *in_emea("a"), "u1"))
    assert [row["domain"] for row in ready.sync() and told(ready)] == ["emea.example", "example.com"]
    ready.ldif.write_text(people(2) + group("app-a", "u0", *in_emea("a"), "u1"))

    report = ready.sync()

    assert [row["domain"] for row in told(ready)] == ["emea.example"]
    assert len(report["notices"]) == 1
    assert scim.membership() == {"app-a": mails("u0", "u1")}


def test_who_lies_outside_of_the_base_is_told_apart_from_who_is_not_shown(
    tmp_path: Path, agent: Agent, scim: ScimService
) -> None:
    place = tmp_path / "server"
    place.mkdir()
    server = OpenLdap(place)
    outside = f"uid=c,ou=contractors,{SUFFIX}"
    server.load(plain(people(2) + group("app-all", "u0", "u1", "ghost", outside, *in_emea("a"))))
    bases = [f"ou=People,{SUFFIX}", f"ou=Groups,{SUFFIX}"]
    with server:
        agent.configure(scim, server.settings(base_dn=bases))
        report = agent.sync()
        again = agent.sync()

        assert (report["exit_code"], again["sources"][0]["extent"]) == (0, "incremental")
        assert again["notices"] == report["notices"]
        assert scim.membership() == {"app-all": mails("u0", "u1")}
        rows = {row["examples"][0]: row["remedy"] for row in told(agent)}
    assert rows[in_emea("a")[0]] == "add a source for emea.example"
    assert rows[outside].startswith("they lie outside of where source corp reads; add the place where they are to ")
    assert rows[person_dn("ghost").lower()].startswith("source corp was read and does not show them")


def test_in_a_domain_people_of_other_domains_and_well_known_principals_are_told_apart(
    agent: Agent, scim: ScimService
) -> None:
    """By the GUID alone nobody could tell in which domain a member is."""
    directory = ScriptedActiveDirectory(2)
    app, stranger = domain_group_dn("app-all"), "S-1-5-21-7-8-9-1104"
    for sid in (stranger, "S-1-5-11"):
        directory.add(foreign_principal_dn(sid), foreign_principal(sid))
    emea = "CN=Ann,OU=People,DC=emea,DC=corp,DC=test"
    directory.elsewhere[emea] = foreign_principal("ann")
    computer = "CN=PC1,OU=Elsewhere,DC=corp,DC=test"
    directory.add(computer, foreign_principal("pc1"))
    with directory:
        agent.configure(scim, directory.settings())
        agent.sync()
        directory.join(app, emea, computer, foreign_principal_dn(stranger), foreign_principal_dn("S-1-5-11"))
        report = agent.sync()

        assert (report["exit_code"], report["sources"][0]["extent"]) == (0, "incremental")
        rows = {row["domain"]: (row["examples"], row["remedy"]) for row in told(agent)}
        before = told(agent)
        agent.sync("--full")
        assert told(agent) == before
    remedy = (
        "add a source for emea.corp.test, or set global_catalog = true in source corp, if that is a domain of the same "
        "forest"
    )
    assert rows["emea.corp.test"] == ([emea.lower()], remedy)
    assert rows["corp.test"][1].startswith("source corp was read and does not show them")
    assert rows["S-1-5-21-7-8-9"] == (
        ["s-1-5-21-7-8-9-1104"],
        "add a source for the domain with the SID S-1-5-21-7-8-9",
    )
    assert rows["S-1-5-11 (Authenticated Users)"][1].startswith("it is a well-known principal, which stands for no")
    assert scim.membership()["app-all"] == mails("u0", "u1")
