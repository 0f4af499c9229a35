"""One person in several sources: one user upstream, and what becomes of it when the sources change."""

from __future__ import annotations

import pytest

from tests.acceptance.company import BY_NUMBER, Company, contact, entry
from tests.ldif_text import anchor_of, group, group_dn, person, person_dn


def test_a_contact_here_and_a_user_there_are_one_user_once_in_each_group(company: Company) -> None:
    company.declare(by=["{mail}"])
    company.holds(
        "corp", contact("anna", " Anna@MÜNCHEN.example"), group("app-a", "anna", "a.berg"), group("app-b", "anna")
    )
    company.holds("partners", person("a.berg", mail="anna@xn--mnchen-3ya.example"), group("app-c", "a.berg"))

    report = company.agent.sync()

    anna = "anna@xn--mnchen-3ya.example"
    assert (report["exit_code"], report["sentences"]) == (0, [])
    assert company.scim.membership() == {"app-a": {anna}, "app-b": {anna}, "app-c": {anna}}
    assert company.user(anna)["externalId"] == anchor_of("a.berg")
    assert len(company.scim.users) == 1
    assert company.agent.sync()["counts"]["writes"] == 0


def test_whom_no_key_connects_are_two(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), person("ben", mail="ben@example.com"), group("app-a", "anna", "ben"))
    company.holds("partners", entry("a.berg", "2"), person("b.ohr"), group("app-p", "a.berg", "b.ohr"))

    report = company.agent.sync()

    assert report["exit_code"] == 0
    assert company.scim.membership() == {
        "app-a": {"anna@example.com", "ben@example.com"},
        "app-p": {"a.berg@example.com", "b.ohr@example.com"},
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("a.berg@example.com", "Partner", "Anna Example", True)),  # the account first, though corp is first
        ({"precedence": ["corp"]}, ("anna@example.com", "Corp", "Anna Example", True)),
        (
            {"precedence": ["corp"], "attributes": {"TITLE": "partners", "employeeType": "third"}},
            ("anna@example.com", "Partner", "Anna Example", True),
        ),
    ],
)
def test_each_attribute_is_that_of_the_winner_and_of_the_next_where_that_one_has_none(
    company: Company, settings: dict[str, object], expected: tuple[object, ...]
) -> None:
    company.agent.sections["mapping"] = {"user": {"title": "{title}", "userType": "{employeeType}"}}
    company.declare(**BY_NUMBER, **settings)
    corp = entry("anna", "1", extra="title: Corp\ndisplayName: Anna Example\n").replace("inetOrgPerson", "contact")
    company.holds("corp", corp, group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1", extra="title: Partner\nemployeeType: temp\n"))

    company.agent.sync()

    (user,) = company.scim.users.values()
    assert (user["userName"], user["title"], user["displayName"], user["active"]) == expected
    assert user["userType"] == "temp"


def test_an_ambiguous_match_is_told_and_not_pushed(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), person("ben"), group("app-a", "anna", "ben"))
    company.holds("partners", entry("x", "1"), entry("y", "1"), group("app-p", "x", "y"))

    report = company.agent.sync()

    (sentence,) = report["sentences"]
    assert report["exit_code"] == 1
    assert all(part in sentence for part in (person_dn("anna"), person_dn("x"), person_dn("y"), "employeeNumber} = 1"))
    assert company.scim.membership() == {"app-a": {"ben@example.com"}, "app-p": set()}

    company.holds("partners", entry("x", "1"), entry("y", "2"), group("app-p", "x", "y"))
    assert company.agent.sync()["exit_code"] == 0
    assert company.scim.membership() == {
        "app-a": {"anna@example.com", "ben@example.com"},
        "app-p": {"anna@example.com", "y@example.com"},
    }


def test_keys_that_contradict_each_other_are_ambiguous(company: Company) -> None:
    company.declare(by=["{mail}", "{employeeNumber}"])
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", person("x", mail="anna@example.com"), entry("y", "1"), group("app-p", "x", "y"))

    report = company.agent.sync()

    assert report["exit_code"] == 1
    assert "{mail} = anna@example.com and {employeeNumber} = 1" in report["sentences"][0]
    assert company.scim.users == {}


def test_who_stands_upstream_stays_as_it_is_when_the_match_becomes_ambiguous(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("x", "1"), group("app-p", "x"), group("app-q"))
    company.agent.sync()
    before = company.scim.membership()
    company.holds("partners", entry("x", "1"), entry("y", "1"), group("app-p", "x"), group("app-q", "y"))

    report = company.agent.sync()

    assert (report["exit_code"], report["counts"]["writes"]) == (1, 0)
    assert company.scim.membership() == before
    assert company.agent.sync("--full")["counts"]["writes"] == 0
    assert before == {"app-a": {"anna@example.com"}, "app-p": {"anna@example.com"}, "app-q": set()}
    company.holds("partners", entry("x", "1"), group("app-p", "x"), group("app-q"))
    assert (company.agent.sync()["exit_code"], company.scim.membership()) == (0, before)


def test_two_of_one_source_who_share_a_key_are_nobody_elses_business(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "0"), entry("ben", "0"), group("app-a", "anna", "ben"))

    report = company.agent.sync()

    assert report["exit_code"] == 0
    assert company.scim.membership() == {"app-a": {"anna@example.com", "ben@example.com"}}


def test_when_the_leader_leaves_the_directory_the_account_passes_on(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    (scim_id,) = company.scim.users
    company.holds("corp", group("app-a", person_dn("a.berg")))

    report = company.agent.sync()

    assert report["exit_code"] == 0
    assert company.scim.users.keys() == {scim_id}
    assert company.user("a.berg@example.com")["externalId"] == anchor_of("a.berg")
    assert company.scim.membership() == {"app-a": {"a.berg@example.com"}, "app-p": {"a.berg@example.com"}}
    assert [line for line in company.scim.writes() if line[0] in {"POST", "DELETE"}] == [
        ("POST", "/scim/v2/Users"),
        ("POST", "/scim/v2/Groups"),
        ("POST", "/scim/v2/Groups"),
    ]
    assert company.agent.sync()["counts"]["writes"] == 0


def test_a_leader_who_is_another_person_now_keeps_the_account(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    (scim_id,) = company.scim.users
    company.holds("corp", entry("anna", "2"), group("app-a", "anna"))

    company.agent.sync()

    assert company.user("anna@example.com")["id"] == scim_id
    assert company.scim.membership() == {"app-a": {"anna@example.com"}, "app-p": {"a.berg@example.com"}}


def two_accounts(company: Company) -> str:
    """Anna has an account from each source. Returns the id of the one of corp."""
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-a2", "a.berg"), group("app-p", "a.berg"))
    company.agent.sync()
    return str(company.user("anna@example.com")["id"])


def test_of_two_accounts_that_turn_out_to_be_one_person_the_leader_keeps_its_own(company: Company) -> None:
    scim_id = two_accounts(company)
    company.declare(**BY_NUMBER)

    report = company.agent.sync()

    anna = {"anna@example.com"}
    assert report["exit_code"] == 0
    assert company.scim.active() == anna
    assert company.user("anna@example.com")["id"] == scim_id
    assert company.scim.membership() == {"app-a": anna, "app-a2": anna, "app-p": anna}
    assert len(company.scim.users) == 2
    (cause,) = [line["cause"] for line in company.audit() if line["verb"] == "deactivate user"]
    assert cause == f"the same person as {person_dn('anna')} ([same_person] by), whose account stays"
    assert company.agent.sync()["counts"]["writes"] == 0


def test_the_second_account_is_taken_away_through_the_guard(company: Company) -> None:
    two_accounts(company)
    company.agent.sections["guard"] = {"users": 0, "users_share": "0%"}
    company.declare(**BY_NUMBER)

    report = company.agent.sync()

    both = {"anna@example.com", "a.berg@example.com"}
    assert report["exit_code"] == 3
    assert company.scim.active() == both
    assert company.scim.membership() == {"app-a": {"anna@example.com"}, "app-a2": both, "app-p": both}


def test_the_account_in_use_passes_on_also_to_an_entry_that_had_one_of_its_own(company: Company) -> None:
    scim_id = two_accounts(company)
    company.declare(**BY_NUMBER)
    company.agent.sync()
    company.holds("corp", group("app-a", person_dn("a.berg")))

    report = company.agent.sync()

    (active,) = (user for user in company.scim.users.values() if user["active"])
    assert report["exit_code"] in {0, 1}
    assert active["id"] == scim_id
    assert company.scim.membership() == {name: {active["userName"]} for name in ("app-a", "app-a2", "app-p")}


def test_when_the_correlation_is_withdrawn_everybody_stands_alone_again(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    (scim_id,) = company.scim.users
    company.declare()

    report = company.agent.sync()

    assert report["exit_code"] == 0
    assert company.user("anna@example.com")["id"] == scim_id
    assert company.scim.membership() == {"app-a": {"anna@example.com"}, "app-p": {"a.berg@example.com"}}


@pytest.mark.parametrize("listed", [("anna", "a.berg"), ("a.berg",)])
def test_a_withdrawal_takes_nothing_from_an_account_that_two_entries_claim_now(
    company: Company, listed: tuple[str, ...]
) -> None:
    company.declare(by=["{mail}"])
    company.holds("corp", person("anna"), group("app-a", *listed))
    company.holds("partners", contact("a.berg", "anna@example.com"), group("app-p", "a.berg"))
    company.agent.sync()
    before = company.scim.membership()
    company.declare()

    report = company.agent.sync()

    assert report["exit_code"] == 1
    assert company.scim.active() == {"anna@example.com"}
    assert company.scim.membership() == before
    assert before == {"app-a": {"anna@example.com"}, "app-p": {"anna@example.com"}}


def test_a_disabled_account_with_an_active_contact_is_inactive(company: Company) -> None:
    company.declare(**BY_NUMBER, precedence=["partners", "corp"])
    company.holds("corp", entry("anna", "1"))
    partner = entry("a.berg", "1").replace("inetOrgPerson", "contact")
    company.holds("partners", partner, group("app-p", "a.berg"))
    company.agent.sync()
    assert company.scim.active() == {"a.berg@example.com"}
    company.holds("corp", entry("anna", "1", extra="nsAccountLock: true\n"))

    company.agent.sync()

    assert company.scim.active() == set()
    assert company.scim.membership() == {"app-p": {"a.berg@example.com"}}


def test_of_several_accounts_the_first_decides_whether_the_person_is_active(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1", extra="nsAccountLock: true\n"))
    company.agent.sync()
    assert company.scim.active() == {"anna@example.com"}
    company.declare(**BY_NUMBER, precedence=["partners"])

    company.agent.sync()

    assert company.scim.active() == set()


def test_a_source_that_cannot_be_read_changes_nobody(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    company.file("corp").unlink()
    company.holds(
        "partners", entry("a.berg", "1", extra="title: x\n"), group("app-p", "a.berg"), group("app-q", "a.berg")
    )

    report = company.agent.sync()

    anna = {"anna@example.com"}
    assert report["exit_code"] == 4
    assert len(company.scim.users) == 1
    assert company.scim.membership() == {"app-a": anna, "app-p": anna, "app-q": anna}


def test_a_nested_group_brings_the_leader_in(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", group_dn("team")))
    company.holds("partners", entry("a.berg", "1"), group("team", "a.berg"))
    company.agent.sync()
    assert company.scim.membership() == {"app-a": {"anna@example.com"}}
    company.holds("partners", entry("a.berg", "2"), group("team", "a.berg"))

    company.agent.sync()

    assert company.scim.membership() == {"app-a": {"a.berg@example.com"}}
    assert company.scim.active() == {"a.berg@example.com"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"by": ["{mail}"], "precedence": ["krop"]}, 'same_person.precedence: there is no source "krop"'),
        ({"by": ["{mail}"], "attributes": {"mail": "krop"}}, 'same_person.attributes: there is no source "krop"'),
        (
            {"by": ["{mail}"], "attributes": {"maul": "corp"}},
            'same_person.attributes: no template of [mapping] uses "maul"',
        ),
        ({"by": ["everybody"]}, 'same_person.by: "everybody" is the same for everybody'),
        ({"by": ["{mail"]}, "same_person.by: "),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_is_contacted(
    company: Company, settings: dict[str, object], sentence: str
) -> None:
    company.declare(**settings)

    done = company.agent.run("sync")

    assert done.code == 2
    assert sentence in done.err
    assert company.scim.requests == []


OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


def test_a_contradiction_moves_no_membership_from_one_account_to_another(company: Company) -> None:
    company.agent.sections["guard"] = OPEN
    company.declare(**BY_NUMBER)
    company.holds("partners", entry("y", "2"), group("app-y", "y"))
    company.agent.sync()
    company.holds("corp", contact("anna", "anna@example.com", extra="employeeNumber: 1\n"), group("app-a", "anna"))
    company.holds("partners", entry("y", "2"), entry("x", "1"), group("app-p", "x"), group("app-y", "y"))
    company.agent.sync()
    before = company.scim.membership()
    assert before["app-a"] == {"x@example.com"}

    company.holds("partners", entry("y", "1"), entry("x", "1"), group("app-p", "x"), group("app-y", "y"))
    company.agent.sync()

    assert company.scim.membership() == before


def test_what_was_decided_about_a_person_holds_for_the_entry_that_inherits_the_account(company: Company) -> None:
    company.agent.sections |= {"external": {"managed_domains": ["example.com"], "policy": "review"}, "guard": OPEN}
    company.declare(**BY_NUMBER)
    guest = entry("a.berg", "1", mail="anna@p.example")
    company.holds("corp", entry("anna", "1", mail="anna@p.example"), group("app-a", "anna"))
    company.holds("partners", guest, group("app-p", "a.berg"))
    company.agent.sync()
    assert company.agent.run("external", "opt-in").code == 0
    company.agent.sync()

    company.holds("corp", group("app-a"))
    company.holds("partners", guest, group("app-p", "a.berg"), group("app-q", "a.berg"))
    company.agent.sync()

    assert company.scim.membership()["app-q"] == {"anna@p.example"}
