"""What makes entries one person changes: in the settings, in one directory first, in the wrong moment."""

from __future__ import annotations

import pytest

from tests.acceptance.company import BY_NUMBER, Company, contact, entry
from tests.ldif_text import anchor_of, group, person

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


def test_nobody_gets_a_second_account_while_a_source_has_not_told_its_new_keys(company: Company) -> None:
    company.agent.sections["guard"] = OPEN
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1"))
    company.agent.sync()
    (scim_id,) = company.scim.users
    content = company.file("corp").read_text()
    company.file("corp").unlink()
    company.holds("partners", entry("a.berg", "1"), entry("ben", "2"), group("app-p", "a.berg", "ben"))
    company.declare(**BY_NUMBER, precedence=["partners"])

    waiting = [company.agent.sync() for _ in range(2)]

    assert [report["exit_code"] for report in waiting] == [4, 4]
    assert "uid=a.berg,ou=People,dc=example,dc=com waits: [same_person] by has changed, and corp could not" in str(
        waiting[1]["sentences"]
    )
    assert list(company.scim.users) == [scim_id]
    assert company.scim.membership()["app-a"] == {"anna@example.com"}

    company.file("corp").write_text(content)
    company.agent.sync()

    (anna,) = (user for user in company.scim.users.values() if user["id"] == scim_id)
    assert company.scim.membership() == {
        "app-a": {anna["userName"]},
        "app-p": {anna["userName"], "ben@example.com"},
    }
    assert len(company.scim.users) == 2


def test_a_first_cycle_waits_for_no_source(company: Company) -> None:
    company.declare(**BY_NUMBER)
    company.file("corp").unlink()
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))

    report = company.agent.sync()

    assert report["exit_code"] == 4
    assert company.scim.membership() == {"app-p": {"a.berg@example.com"}}


def test_an_account_passes_to_nobody_whose_key_was_wrong(company: Company) -> None:
    company.agent.sections["guard"] = OPEN
    company.declare(**BY_NUMBER)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.holds("partners", entry("ben", "1"), group("app-p", "ben"))
    company.agent.sync()
    (annas,) = company.scim.users

    company.holds("corp", group("app-a"))
    company.holds("partners", entry("ben", "2"), group("app-p", "ben"))
    company.agent.sync()

    assert company.scim.users[annas]["active"] is False
    assert company.user("ben@example.com")["externalId"] == anchor_of("ben")
    assert company.scim.membership()["app-p"] == {"ben@example.com"}


def test_an_account_passes_to_who_is_connected_through_another(company: Company) -> None:
    company.declare(by=["{employeeNumber}", "{mail}"])
    company.holds("corp", entry("anna", "1", mail="anna@example.com"), group("app-a", "anna"))
    company.holds("partners", entry("a.berg", "1", mail="berg@example.com"), group("app-p", "a.berg"))
    company.holds("third", contact("berg", "berg@example.com"), group("app-t", "berg"))
    company.agent.sync()
    (annas,) = company.scim.users

    company.holds("corp", group("app-a"))
    company.agent.sync()

    assert list(company.scim.users) == [annas]
    assert company.user("berg@example.com")["active"] is True


@pytest.mark.parametrize("precedence", [[], ["corp"], ["partners"]])
def test_who_is_one_person_again_keeps_the_account_it_had(company: Company, precedence: list[str]) -> None:
    company.agent.sections["guard"] = OPEN
    company.declare(**BY_NUMBER, precedence=precedence)
    company.holds("corp", entry("anna", "1"), group("app-a", "anna"))
    company.agent.sync()
    (annas,) = company.scim.users
    company.holds("partners", entry("a.berg", "1"), group("app-p", "a.berg"))
    company.agent.sync()
    assert list(company.scim.users) == [annas]

    company.holds("corp", entry("anna", "2"), group("app-a", "anna"))
    company.agent.sync()
    assert len(company.scim.active()) == 2
    company.holds("partners", entry("a.berg", "2"), group("app-p", "a.berg"))
    company.agent.sync()

    assert [scim_id for scim_id, user in company.scim.users.items() if user["active"]] == [annas]
    name = company.scim.users[annas]["userName"]
    assert company.scim.membership() == {"app-a": {name}, "app-p": {name}}


@pytest.mark.parametrize("written", [("JÜRGEN@example.com", "jürgen@EXAMPLE.com"), ("groß@example.com",) * 2])
def test_an_account_that_two_entries_claim_is_the_same_in_every_spelling(
    company: Company, written: tuple[str, str]
) -> None:
    company.agent.sections["guard"] = OPEN
    company.declare(by=["{mail}"])
    company.holds("corp", person("anna", mail=written[0]), group("app-a", "anna"))
    company.holds("partners", contact("a.berg", written[1]), group("app-p", "a.berg"))
    company.agent.sync()
    before = company.scim.membership()
    assert before == {"app-a": {written[0]}, "app-p": {written[0]}}
    company.declare()

    company.agent.sync()
    company.agent.sync()

    assert company.scim.membership() == before


def test_a_key_that_everybody_without_the_attribute_would_have_is_refused(company: Company) -> None:
    company.declare(by=["{employeeNumber | default(none)}"])

    done = company.agent.run("sync")

    assert done.code == 2
    assert "is the same for everybody, or for all who lack an attribute" in done.err
