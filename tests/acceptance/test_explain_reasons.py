"""What `rollcall explain` says of the hard cases: several entries, many ways, held removals, decisions, doubts."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.observe.audit_file import FILE_NAME
from agent.observe.audit_tail import last_records
from tests.acceptance.company import BY_NUMBER, Company, entry
from tests.acceptance.prepared_people import OPEN
from tests.acceptance.test_upgraded_state import rewind
from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService


def explained(agent: Agent, who: str) -> Any:
    return agent.run("explain", who, "--json").document


def test_of_several_entries_it_tells_who_leads_who_is_listed_and_whose_attributes_count(company: Company) -> None:
    company.agent.sections["mapping"] = {"user": {"title": "{title}"}}
    company.declare(**BY_NUMBER, precedence=["corp"], attributes={"title": "partners"})
    company.holds("corp", entry("anna", "1", extra="title: Corp\n"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1", extra="title: Partner\n"), group("app-p", "a.berg"))
    company.agent.sync()

    for who in ("anna@example.com", "a.berg@example.com", person_dn("a.berg")):
        out = company.agent.run("explain", who).out
        assert out.startswith("anna@example.com is provisioned: active upstream as SCIM id ")
        assert f"{person_dn('anna')}: user of source corp, enabled, anchor " in out
        assert f"{person_dn('a.berg')}: user of source partners, enabled, anchor " in out
        assert f"  app-a > {person_dn('anna')}\n" in out
        assert f"  app-p > {person_dn('a.berg')}\n" in out
        assert "title = Partner, from {title}: title = Partner (source partners)\n" in out
        assert "mail = anna@example.com (source corp)" in out
    assert [item["leads"] for item in explained(company.agent, "anna")["entries"]] == [True, False]


def test_many_ways_are_bounded_and_groups_in_a_circle_are_no_trouble(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    layers = [[f"g{layer}-{number}" for number in range(4)] for layer in range(5)]
    groups = group("app-top", *map(group_dn, layers[0])) + group("app-u", "u0", group_dn("app-top"))
    for upper, lower in zip(layers, [*layers[1:], ["circle"]], strict=True):
        groups += "".join(group(name, *map(group_dn, lower)) for name in upper)
    agent.ldif.write_text(people(2) + groups + group("circle", "u0", group_dn("app-top")))
    agent.sync()

    document, out = explained(agent, "u0"), agent.run("explain", "u0").out

    assert len(document["paths"]) == 50
    assert document["more_paths"] > 1000
    assert ["app-u"] in [path["groups"] for path in document["paths"]]
    assert f"and {document['more_paths']} more ways\n" in out
    assert {path["groups"][0] for path in document["paths"]} == {"app-top", "app-u"}


def test_only_groups_that_list_somebody_are_named_when_none_of_them_is_selected(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, scope={"nested": "direct"})
    agent.ldif.write_text(people(2) + group("team", "u0") + group("app-a", "u1", group_dn("team")))
    agent.sync()

    document = explained(agent, "u0")

    assert document["verdict"]["sentence"] == (
        "u0@example.com is not provisioned: no selected group lists it, only team."
    )
    assert document["verdict"]["remedy"] == (
        "Put the person into a selected group, or select one of these in [scope] groups. With [scope] nested = "
        '"direct" groups in groups are not opened.'
    )
    assert (document["paths"], document["listed_by"]) == ([], ["team"])


def test_who_stays_in_a_group_because_its_list_is_not_whole_is_told_so(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    others = people(2) + group("app-a", group_dn("team"), "=no name") + group("app-b", "u0", "u1")
    agent.ldif.write_text(others + group("team", "u0", "u1"))
    agent.sync()
    agent.ldif.write_text(others + group("team", "u0"))
    agent.sync()

    document = explained(agent, "u1")

    assert document["verdict"]["sentence"].endswith(", in groups app-a and app-b.")
    kept = "the list of the group, or of one in it, is not known to be whole, so nobody is removed from it"
    assert {item["group"]: item["kept"] for item in document["memberships"]} == {"app-a": kept, "app-b": None}
    assert f"; not listed any more; there upstream\n  - stays there: {kept}\n" in agent.run("explain", "u1").out


def test_an_account_that_another_entry_claims_is_kept_and_it_is_said_who(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1", mail="anna@example.com"), group("app-p", "a.berg"))
    company.agent.sync()
    company.declare()
    company.holds("corp", entry("anna", "1"), group("app-a"))
    digest = company.agent.sync()["plan_digest"]

    sentence = explained(company.agent, person_dn("anna"))["verdict"]["sentence"]

    claimant = f"{person_dn('a.berg')} (source partners)"
    # It was the last member of app-a.
    held = f"but the guard held it in the last cycle; to let it through: rollcall approve {digest}"
    assert sentence.endswith(
        f"no group lists it: {claimant} has the same user name, and may be the same person; to be taken out of app-a, "
        f"{held}."
    )


def test_a_review_is_told_with_who_decided_and_when(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, external={"policy": "review"})
    agent.ldif.write_text(people(1) + person("g", mail="g@partner.example") + group("app-a", "u0", "g"))
    agent.sync()
    waiting = explained(agent, "g@partner.example")
    agent.run("external", "opt-in", "--by", "Ada Lindqvist")
    agent.sync()

    let_in = explained(agent, "g@partner.example")

    assert waiting["verdict"]["sentence"] == (
        "g@partner.example is not provisioned: external, and waits for a review: see rollcall external, then rollcall "
        "external opt-in."
    )
    assert waiting["memberships"][0]["rule"] == '[external] policy = "review"'
    assert (waiting["memberships"][0]["let_in"], let_in["memberships"][0]["let_in"]) == (False, True)
    assert let_in["verdict"]["provisioned"]
    assert any(text.startswith("Ada Lindqvist opted in at ") for text in let_in["policy"]["sentences"])


def test_a_domain_below_a_line_a_rule_for_a_group_and_a_blocked_domain_are_told_by_their_lines(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(
        scim,
        external={
            "subdomains": True,
            "blocked_domains": ["rival.example"],
            "groups": {"name:app-secret": "skip"},
        },
    )
    everybody = person("m", mail="m@sales.example.com") + person("r", mail="r@rival.example")
    everybody += person("g", mail="g@partner.example")
    agent.ldif.write_text(everybody + group("app-open", "m", "r", "g") + group("app-secret", "g"))
    agent.sync()

    managed, blocked, guest = (explained(agent, who) for who in ("m", "r@rival.example", "g@partner.example"))

    assert managed["policy"]["sentences"] == [
        'sales.example.com is managed: by the line "example.com" (subdomains = true) of [external] managed_domains.'
    ]
    assert blocked["verdict"] == {
        "provisioned": False,
        "sentence": "r@rival.example is not provisioned: the domain rival.example is blocked ([external] "
        "blocked_domains).",
        "remedy": 'If the person is to come in, take "rival.example" out of [external] blocked_domains.',
    }
    assert {item["group"]: (item["let_in"], item["rule"]) for item in guest["memberships"]} == {
        "app-open": (True, '[external] policy = "provision"'),
        "app-secret": (False, '[external.groups] "name:app-secret" = "skip"'),
    }
    assert guest["verdict"]["provisioned"]
    assert guest["verdict"]["sentence"].endswith(", in group app-open; kept out of app-secret.")
    assert guest["verdict"]["remedy"].startswith('It is so by [external.groups] "name:app-secret" = "skip". If the ')


def test_somebody_whom_a_failed_source_may_list_is_kept_and_it_is_said_why(company: Company) -> None:
    company.holds("corp", person("anna"), person("ben"), group("app-a", "anna", "ben"))
    company.agent.sync()
    company.holds("corp", person("anna"), person("ben"), group("app-a", "ben"))
    company.file("partners").unlink()
    company.agent.sync()

    sentence = explained(company.agent, "anna")["verdict"]["sentence"]

    assert sentence.startswith("anna@example.com is kept upstream (active as SCIM id ")
    assert sentence.endswith(
        ") although no group lists it: source partners could not be read completely, and its groups may list it by now."
    )


def test_what_a_source_shows_and_nobody_understands_is_told_with_the_reason(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    broken = person("b", extra="title:: /w==\n")
    agent.sections["mapping"] = {"user": {"title": "{title}"}}
    agent.write()
    agent.ldif.write_text(people(1) + broken + group("app-a", "u0", "b"))
    agent.sync()
    never = agent.run("explain", person_dn("b"))
    agent.ldif.write_text(people(1) + person("b") + group("app-a", "u0", "b"))
    agent.sync()
    agent.ldif.write_text(people(1) + broken + group("app-a", "u0", "b"))
    agent.sync()

    known = explained(agent, "b@example.com")

    assert never.code == 1
    assert f"cannot be understood: source corp shows {person_dn('b')}: its attribute title is not valid" in never.out
    assert known["verdict"]["provisioned"]
    assert known["entries"][0]["unreadable"].startswith("its attribute title is not valid UTF-8")


def test_a_profile_that_is_the_persons_own_is_said_to_stay(agent: Agent) -> None:
    with VendorService("locked") as service:
        agent.configure(service, upstream={"external_users": "locked"}, guard=OPEN)
        agent.ldif.write_text(people(1) + person("g", mail="g@partner.example") + group("app-a", "u0", "g"))
        agent.sync()
        agent.ldif.write_text(
            people(1)
            + person("g", mail="g@partner.example").replace("sn: Example", "sn: New")
            + group("app-a", "u0", "g")
        )
        agent.sync()
        changed = explained(agent, "g@partner.example")
        agent.ldif.write_text(people(1) + person("g", mail="g@partner.example") + group("app-a", "u0"))
        agent.sync()
        gone = explained(agent, "g@partner.example")

    assert changed["mapping"]["compared"].endswith("; but the profile is the person's own there, and stays.")
    assert changed["next"] == []
    assert "The account is out of every group upstream since " in gone["verdict"]["sentence"]
    assert "returns under the same SCIM id" in gone["verdict"]["remedy"]


def test_a_create_whose_turn_has_not_come_and_one_of_two_with_one_name_are_told(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    same = person("x", mail="x@example.com") + person("y", mail="X@example.com")
    agent.ldif.write_text(people(2) + same + group("app-a", "u0", "u1", "x", "y"))
    scim.faults.append(Fault(lambda _request: True, times=100, status=401))
    agent.sync()

    out = agent.run("explain", "u1").out
    assert out.startswith("u1@example.com is not provisioned yet: the next cycle creates the account.\n")
    assert ", with exit code 5 (the upstream is unreachable or refuses the credentials). Neither" in out
    create, join = explained(agent, "u1")["next"]
    assert (create["verb"], create["why"].partition(";")[0]) == (
        "create user", "in a selected group, and not upstream yet",
    )  # fmt: skip
    assert (join["verb"], join["object"], join["why"]) == ("add to group", "app-a", "listed by app-a")
    assert explained(agent, person_dn("y"))["verdict"]["sentence"].startswith(
        f"X@example.com is not provisioned: it has the same user name (x@example.com) as {person_dn('x')}. "
    )


def test_a_state_of_another_version_is_not_brought_up_to_date_by_looking(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    rewind(agent)

    done = agent.run("explain", "u0")

    assert done.code == 2
    assert "is of another version of Rollcall (schema 0005" in done.err
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        assert connection.execute("select version_num from alembic_version").fetchall() == [("0005",)]


def test_a_damaged_state_is_told_in_a_sentence(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.state.mkdir()
    (agent.state / "rollcall.sqlite3").write_bytes(b"not a database" * 100)

    done = agent.run("explain", "u0")

    assert done.code == 2
    assert "cannot be used: file is not a database" in done.err


def test_the_last_attempts_are_read_from_the_end_of_the_trail(agent: Agent) -> None:
    agent.state.mkdir()
    long = {"verb": "add members", "entry": 1, "members": list(range(1000, 90_000))}
    records = [{"entry": 7, "at": "first"}, *({"entry": 8, "at": str(n)} for n in range(9000)), long]
    records += [{"entry": 5, "members": [7], "at": "second"}, {"entry": 7, "at": "third"}]
    trail = "".join(json.dumps(record) + "\n" for record in records) + '{"entry": 7, "at": "being wri'
    (agent.state / FILE_NAME).write_text("[]\nnonsense 7\n" + trail)

    everything = last_records(agent.state, {7}, few=8)
    some = last_records(agent.state, {7}, few=2)
    near = last_records(agent.state, {7}, few=8, within=1000)

    assert [record["at"] for record in everything.records] == ["third", "second", "first"]
    assert [record["at"] for record in some.records] == ["third", "second"]
    assert [record["at"] for record in near.records] == ["third", "second"]
    assert (everything.reaches_back, near.reaches_back) == (True, False)
    assert last_records(agent.state, {1050}, few=8).records == (long,)
    assert last_records(agent.state / "nowhere", {7}, few=8).records == ()


def test_a_group_is_explained_in_short(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    stranger = "cn=otto,ou=people,dc=emea,dc=example"
    agent.ldif.write_text(
        people(3) + group("app-a", "u0", "u1", stranger, group_dn("team")) + group("team", "u2") + group("loose", "u0")
    )
    agent.sync()
    scim_id = next(iter(scim.groups))

    selected, nested, loose = (explained(agent, who) for who in ("app-a", group_dn("team"), "loose"))

    assert selected["verdict"] == {
        "provisioned": True,
        "sentence": f"group app-a is pushed: SCIM id {scim_id}, 3 people in it by the directory, 3 members upstream.",
        "remedy": "To know why somebody is not in it, ask for the person. It lists 1 more that no source can name: see "
        "rollcall status.",
    }
    assert selected["group"]["lines"] == ["name:app-*"]
    assert nested["verdict"]["sentence"] == (
        "group team is not selected: no line of [scope] groups names it; its people come in by app-a, which it is in."
    )
    assert loose["verdict"]["sentence"] == "group loose is not selected: no line of [scope] groups names it."
    assert [agent.run("explain", who).code for who in ("app-a", scim_id)] == [0, 0]


def test_what_keeps_an_account_and_until_when(agent: Agent, scim: ScimService) -> None:
    agent.configure(
        scim,
        guard={"users_share": "100%", "members_share": "100%", "protected": ["mail:kept@*"]},
        leavers={"delete_after": "30d"},
    )
    agent.ldif.write_text(
        person("kept") + person("leaver") + person("staff") + group("app-a", "kept", "leaver", "staff")
    )
    agent.sync()
    agent.ldif.write_text(person("kept") + person("leaver") + person("staff") + group("app-a", "staff"))
    agent.sync()

    kept = agent.run("explain", "kept@example.com").out.splitlines()[0]
    leaver = agent.run("explain", "leaver@example.com").out.splitlines()[0]

    assert kept.endswith("although no group lists it: [guard] protected names it.")
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    assert leaver.endswith(f"and kept until {until}, when it is deleted ([leavers]).")
