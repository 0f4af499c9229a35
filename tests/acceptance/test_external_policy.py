"""Who is let in: the opt-in, the review, the rules by domain and by group, blocked and protected domains."""

from __future__ import annotations

import csv
import getpass
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}
GUESTS = {f"g{n}": f"g{n}@{'partner' if n % 2 else 'agency'}.example" for n in range(200)}
GUEST_TEXT = "".join(person(uid, mail=mail) for uid, mail in GUESTS.items())
GUESTS_OF = {
    "app-a": [uid for n, uid in enumerate(GUESTS) if n % 3],
    "app-b": [uid for n, uid in enumerate(GUESTS) if n % 3 != 1],
}
COMPANY = people(10) + GUEST_TEXT + "".join(group(name, *uids(10), *guests) for name, guests in GUESTS_OF.items())
MANAGED = {f"{uid}@example.com" for uid in uids(10)}


def configured(agent: Agent, scim: ScimService, content: str, **external: object) -> Any:
    agent.configure(scim, guard=OPEN, external=external)
    agent.ldif.write_text(content)
    return agent.sync()


def names(scim: ScimService) -> set[str]:
    return {user["userName"] for user in scim.users.values()}


@pytest.fixture
def opted_out(agent: Agent, scim: ScimService) -> Agent:
    """It has been running without its 200 external users, and its policy is to provision them now."""
    configured(agent, scim, COMPANY, policy="skip")
    report = configured(agent, scim, COMPANY, policy="provision")
    assert report["exit_code"] == 0
    return agent


def test_a_connection_that_ran_without_external_users_creates_none_until_somebody_has_opted_in(
    opted_out: Agent, scim: ScimService
) -> None:
    file = opted_out.directory / "external.csv"

    status = opted_out.run("status", "--json").document
    shown = opted_out.run("external", "--json", "--csv", str(file)).document

    assert names(scim) == MANAGED
    assert [text for text in status["notices"] if text.startswith("200 users are not provisioned") and "opt-in" in text]
    assert shown["totals"] == {"managed": 10, "external": 200, "to_add": 0, "waiting": 200}
    assert {row["domain"]: row["waiting"] for row in shown["domains"]} == {
        "agency.example": 100,
        "partner.example": 100,
        "example.com": 0,
    }
    assert {row["group"]: row["waiting"] for row in shown["groups"]} == {
        name: len(guests) for name, guests in GUESTS_OF.items()
    }
    with file.open(encoding="utf-8-sig", newline="") as lines:
        listed = {row["email"]: row["groups"].split("; ") for row in csv.DictReader(lines)}
    assert listed == {
        mail: [name for name, guests in sorted(GUESTS_OF.items()) if uid in guests] for uid, mail in GUESTS.items()
    }

    done = opted_out.run("external", "opt-in", "--list", shown["list"]["digest"], "--by", "Ada Lindqvist")
    assert (done.code, names(scim)) == (0, MANAGED)
    opted_out.sync()

    assert names(scim) == MANAGED | set(GUESTS.values())
    assert scim.membership() == {name: MANAGED | {GUESTS[uid] for uid in guests} for name, guests in GUESTS_OF.items()}
    (decision,) = opted_out.run("status", "--json").document["decisions"]
    assert (decision["verb"], decision["by"], decision["users"]) == ("opt-in", "Ada Lindqvist", 200)
    assert decision["list"] == shown["list"]["digest"]
    assert decision["at"]


def test_only_the_list_that_was_seen_can_be_opted_in_to(opted_out: Agent, scim: ScimService) -> None:
    seen = opted_out.run("external", "--json").document["list"]["digest"]
    opted_out.ldif.write_text(COMPANY + person("late", mail="late@partner.example") + group("app-c", "late"))
    opted_out.sync()

    done = opted_out.run("external", "opt-in", "--list", seen)

    assert done.code == 2
    assert "201 users" in done.err
    opted_out.sync()
    assert names(scim) == MANAGED


def test_who_decides_is_the_account_that_runs_the_command_when_nobody_is_named(opted_out: Agent) -> None:
    decided = opted_out.run("external", "opt-in", "--json").document["decision"]

    assert (decided["by"], decided["users"]) == (getpass.getuser(), 200)


def test_a_decision_is_refused_where_nobody_can_have_seen_what_it_is_about(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, external={"policy": "skip"})
    agent.ldif.write_text(COMPANY)
    before_the_first_cycle = agent.run("external", "opt-in")
    agent.sync()
    skipping = agent.run("external", "opt-in")
    agent.configure(scim, external={"policy": "provision"})
    changed_since = agent.run("external", "opt-in")

    assert [done.code for done in (before_the_first_cycle, skipping, changed_since)] == [2, 2, 2]
    assert "Run rollcall sync" in before_the_first_cycle.err
    assert "The policy is to skip" in skipping.err
    assert "settings have changed" in changed_since.err


@pytest.mark.parametrize("withdrawal", ["deactivate", "leave"])
def test_withdrawing_deactivates_or_leaves_and_never_deletes(agent: Agent, scim: ScimService, withdrawal: str) -> None:
    few = people(2) + person("g", mail="g@partner.example") + group("app-a", "u0", "u1", "g")
    configured(agent, scim, few, withdrawal=withdrawal)
    assert agent.run("external", "withdraw").code == 0

    agent.sync()

    managed, everybody = {"u0@example.com", "u1@example.com"}, {"u0@example.com", "u1@example.com", "g@partner.example"}
    assert names(scim) == everybody
    assert scim.active() == (managed if withdrawal == "deactivate" else everybody)
    assert scim.membership() == {"app-a": managed if withdrawal == "deactivate" else everybody}

    # Nobody new comes in meanwhile, and whoever leaves the directory goes as always.
    agent.ldif.write_text(people(2) + person("h", mail="h@partner.example") + group("app-a", "u0", "u1", "h"))
    agent.sync()
    assert (names(scim), scim.active()) == (everybody, managed)

    agent.run("external", "opt-in")
    agent.sync()
    assert scim.active() == managed | {"h@partner.example"}
    assert [method for method, _ in scim.writes() if method == "DELETE"] == []


def test_under_review_only_those_who_were_decided_about_come_in(agent: Agent, scim: ScimService) -> None:
    first = people(1) + person("g", mail="g@partner.example") + group("app-a", "u0", "g")
    report = configured(agent, scim, first, policy="review")
    assert names(scim) == {"u0@example.com"}
    assert [text for text in report["notices"] if "waits for a review" in text]
    agent.run("external", "opt-in")
    agent.sync()
    assert names(scim) == {"u0@example.com", "g@partner.example"}

    agent.ldif.write_text(
        people(1) + person("g", mail="g@partner.example") + person("h", mail="h@partner.example")
        + group("app-a", "u0", "g", "h")
    )  # fmt: skip
    agent.sync()

    assert names(scim) == {"u0@example.com", "g@partner.example"}
    assert agent.run("external", "--json").document["list"]["users"] == 1


def test_the_strictest_of_the_rules_that_apply_decides_for_each_membership(agent: Agent, scim: ScimService) -> None:
    guests = {"p": "p@partner.example", "a": "a@agency.example", "o": "o@other.example"}
    content = people(1) + "".join(person(uid, mail=mail) for uid, mail in guests.items())
    content += "".join(group(name, "u0", *guests) for name in ("app-open", "app-secret", "app-slow"))

    configured(
        agent,
        scim,
        content,
        policy="skip",
        domains={"partner.example": "provision", "agency.example": "review"},
        groups={"name:app-secret": "skip", "name:app-open": "provision"},
    )

    assert scim.membership() == {
        # A rule for the group lets in whom only the policy leaves out.
        "app-open": {"u0@example.com", "p@partner.example", "o@other.example"},
        "app-secret": {"u0@example.com"},
        "app-slow": {"u0@example.com", "p@partner.example"},
    }
    assert agent.run("external", "--json").document["list"]["users"] == 1


def test_a_blocked_domain_is_taken_out_and_a_protected_one_never_is(agent: Agent, scim: ScimService) -> None:
    guests = person("r", mail="r@sales.rival.example") + person("b", mail="b@board.example")
    configured(agent, scim, people(1) + guests + group("app-a", "u0", "r", "b"))
    rules = {"blocked_domains": ["rival.example"], "protected_domains": ["board.example"], "subdomains": True}

    configured(agent, scim, people(1) + guests + group("app-a", "u0", "r", "b"), **rules)
    report = configured(
        agent, scim, people(1) + person("r", mail="r@sales.rival.example") + group("app-a", "u0"), **rules
    )

    assert scim.membership() == {"app-a": {"u0@example.com", "b@board.example"}}
    assert scim.active() == {"u0@example.com", "b@board.example"}
    assert [text for text in report["notices"] if "domain is protected" in text]


def test_a_rule_for_a_group_that_is_not_selected_is_told_of(agent: Agent, scim: ScimService) -> None:
    report = configured(agent, scim, people(1) + group("app-a", "u0"), groups={"name:finance-*": "skip"})

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if text.startswith('[external] groups: no group answers to "name:fin')]


def test_domains_are_the_same_however_they_are_written(agent: Agent, scim: ScimService) -> None:
    content = (
        person("a", mail="a@B\u00dcCHER.example") + person("b", mail="b@xn--bcher-kva.example")
        + person("c", mail="c@k\u00e4se.partner.example") + group("app-a", "a", "b", "c")
    )  # fmt: skip
    agent.configure(
        scim,
        external={
            "managed_domains": ["b\u00fccher.EXAMPLE"],
            "domains": {"K\u00c4SE.partner.example": "skip"},
        },
    )
    agent.ldif.write_text(content, encoding="utf-8")

    shown = agent.run("external", "--json").document

    assert [(row["domain"], row["standing"], row["provisioned"], row["users"]) for row in shown["domains"]] == [
        ("xn--bcher-kva.example", "managed", True, 2),
        ("xn--kse-qla.partner.example", "external", False, 1),
    ]


def test_a_domain_that_only_looks_alike_is_another(agent: Agent, scim: ScimService) -> None:
    """By the rules of 2003 stra\u00dfe was strasse; now anybody may have either."""
    agent.configure(scim, external={"managed_domains": ["strasse.example"]})
    agent.ldif.write_text(person("a", mail="a@stra\u00dfe.example") + group("app-a", "a"), encoding="utf-8")

    shown = agent.run("external", "--json").document

    assert [(row["domain"], row["standing"]) for row in shown["domains"]] == [("xn--strae-oqa.example", "external")]


@pytest.mark.parametrize(
    ("external", "said"),
    [
        ({"blocked_domains": ["example.com"]}, '"example.com" is in managed_domains and in blocked_domains'),
        ({"domains": {"example.com": "skip"}}, '"example.com" is in managed_domains and in domains'),
        ({"domains": {"partner.example": "perhaps"}}, "external.domains.partner.example"),
        ({"groups": {"app-a": "skip"}}, "external.groups"),
        ({"blocked_domains": ["*.rival.example"]}, "is not a domain"),
        ({"managed_domains": ["corp example"]}, "is not a domain"),
        ({"protected_domains": ["\u2603.example"]}, "is not a domain"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(
    agent: Agent, scim: ScimService, external: dict[str, object], said: str
) -> None:
    agent.configure(scim, external=external)
    agent.ldif.write_text(COMPANY)

    done = agent.run("sync")

    assert done.code == 2
    assert said in done.err
