"""Two sources hold the same DN, or the same user name, for different people."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.company import CORP, PARTNERS, Company
from tests.ldif_text import anchor_of, group, group_dn, person
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "may_become_empty": True}
STRANGER = person("u", mail="stranger@partner.example", anchor=anchor_of("stranger"))
OURS = {"u@example.com", "v@example.com"}


@pytest.fixture
def two(company: Company) -> Company:
    company.agent.sections["guard"] = OPEN
    company.agent.sources = [dict(CORP), dict(PARTNERS)]
    company.agent.write()
    company.holds("corp", person("u"), person("v"), group("app-a", "u", "v"))
    company.holds("partners")
    return company


@pytest.mark.parametrize("order", [1, -1])
def test_a_group_means_the_entry_of_its_own_source(two: Company, order: int) -> None:
    two.agent.sources = two.agent.sources[::order]
    two.agent.write()
    two.agent.sync()
    before = two.scim.membership()["app-a"]

    two.holds("partners", STRANGER, group("app-p", "u"))
    reports = [two.agent.sync() for _ in range(2)]
    two.holds("partners", STRANGER.replace("U Example", "Renamed"), group("app-p", "u"))
    two.agent.sync()

    assert before == OURS
    assert [report["exit_code"] for report in reports] == [0, 0]
    assert two.scim.membership()["app-a"] == OURS
    assert two.scim.membership()["app-p"] == {"stranger@partner.example"}
    assert two.scim.active() >= OURS
    assert two.agent.sync()["counts"]["planned"] == 0


def test_who_is_deleted_is_not_followed_by_a_namesake_of_another_source(two: Company) -> None:
    two.holds("partners", STRANGER)
    two.agent.sync()
    two.holds("corp", person("v"), group("app-a", "u", "v"))

    for arguments in ([], ["--full"], ["--full"]):
        two.agent.sync(*arguments)
        assert two.scim.membership()["app-a"] == {"v@example.com"}
    assert "stranger@partner.example" not in two.scim.active()


def test_a_nested_group_is_that_of_the_same_source(two: Company) -> None:
    two.holds("corp", person("u"), person("v"), group("team", "u"), group("app-a", group_dn("team"), "v"))
    two.agent.sync()
    foreign = group("team", "w", anchor=anchor_of("group of partners"))

    two.holds("partners", person("w", mail="w@partner.example"), foreign)
    two.agent.sync()

    assert two.scim.membership()["app-a"] == OURS


def test_a_name_that_two_other_sources_have_is_unknown_and_told(company: Company) -> None:
    company.agent.sections["guard"] = OPEN
    company.agent.write()
    company.holds("corp", person("v"), group("app-a", "u", "v"))
    company.holds("partners", STRANGER)
    company.agent.sync()
    before = company.scim.membership()["app-a"]

    company.holds("third", person("u", mail="other@third.example", anchor=anchor_of("third u")))
    report = company.agent.sync()

    assert before == {"stranger@partner.example", "v@example.com"}
    assert company.scim.membership()["app-a"] == before
    assert "several sources have an entry of this name" in str(report["notices"])


@pytest.mark.parametrize("same_person", [{}, {"by": ["{mail}"]}])
def test_whoever_is_read_by_another_source_from_now_on_stays_a_member(
    two: Company, same_person: dict[str, object]
) -> None:
    two.agent.sections["same_person"] = same_person
    two.agent.write()
    two.agent.sync()
    ids = {user["userName"]: scim_id for scim_id, user in two.scim.users.items()}

    two.holds("corp", person("v"), group("app-a", "u", "v"))
    two.holds("partners", person("u"))
    for arguments in ([], [], ["--full"]):
        two.agent.sync(*arguments)

        assert two.scim.membership()["app-a"] == OURS
        assert two.scim.active() >= OURS
    assert two.user("u@example.com")["id"] == ids["u@example.com"]


@pytest.mark.parametrize("behaviour", ["locked", "ordinary"])
def test_nobody_is_taken_out_for_a_name_that_has_become_ambiguous(company: Company, behaviour: str) -> None:
    with VendorService(behaviour) as service:
        company.agent.sections["guard"] = OPEN
        company.agent.sections["upstream"] |= {"url": service.url, "external_users": behaviour}
        company.agent.write()
        company.holds("corp", person("v"), person("w"), group("app-a", "u", "v"), group("app-b", "w"))
        company.holds("partners", STRANGER)
        company.agent.sync()
        company.holds("third", person("u", mail="other@third.example", anchor=anchor_of("third u")))
        company.agent.sync()

        company.holds("corp", person("v"), person("w"), group("app-a", "u", "v"), group("app-b"))
        for _ in range(2):
            report = company.agent.sync()

        assert service.membership()["app-a"] == {"stranger@partner.example", "v@example.com"}
        assert service.active() == {"stranger@partner.example", "v@example.com"}
        assert report["counts"]["planned"] == 0


# --- one user name ------------------------------------------------------------------------------------------------

DISABLED = person("px", mail="u@example.com", extra="nsAccountLock: true\n")
BY_UID = {"user_name": "{uid}"}


def namesake(mail: str) -> str:
    return person("px", mail=mail).replace("uid: px", "uid: u")


@pytest.mark.parametrize(
    ("entry", "sections"),
    [
        (DISABLED, {}),
        (namesake("u@rival.example"), {"mapping": BY_UID, "external": {"blocked_domains": ["rival.example"]}}),
        (namesake("u@partner.example"), {"mapping": BY_UID, "external": {"policy": "skip"}}),
    ],
    ids=["disabled", "blocked", "skipped"],
)
def test_who_is_not_let_in_keeps_nobody_elses_account(
    two: Company, entry: str, sections: dict[str, dict[str, object]]
) -> None:
    for name, values in sections.items():
        two.agent.sections[name] = two.agent.sections.get(name, {}) | values
    two.agent.write()
    two.holds("partners", entry, group("app-b", "px"))
    two.agent.sync()
    two.holds("corp", person("u"), person("v"), group("app-a", "v", "px"))

    two.agent.sync()

    assert len(two.scim.membership()["app-a"]) == 1
    assert not {"u", "u@example.com"} & two.scim.active()


@pytest.mark.parametrize("how", ["leaves the group", "is deleted", "gets another address"])
def test_an_account_that_nobody_claims_any_more_is_deactivated(two: Company, how: str) -> None:
    two.agent.sync()
    two.holds("partners", person("px", mail="u@example.com"))
    two.holds("corp", person("u"), person("v"), group("app-a", "u", "v", "px"))
    two.agent.sync()
    two.holds("corp", person("u"), person("v"), group("app-a", "v", "px"))
    two.agent.sync()
    assert "u@example.com" in two.scim.active()
    ends: dict[str, Callable[[], None]] = {
        "leaves the group": lambda: two.holds("corp", person("u"), person("v"), group("app-a", "v")),
        "is deleted": lambda: two.holds("partners"),
        "gets another address": lambda: two.holds("partners", person("px", mail="px@partner.example")),
    }
    ends[how]()

    two.agent.sync()
    two.agent.sync()

    assert "u@example.com" not in two.scim.active()
    assert "u@example.com" not in two.scim.membership()["app-a"]


def test_the_same_tree_read_twice_lets_go_of_who_leaves_in_both(two: Company, scim: ScimService) -> None:
    tree = two.file("corp").read_text()
    two.agent.sync()
    two.file("partners").write_text(tree)
    two.agent.sync()
    assert scim.active() >= OURS
    for source in ("corp", "partners"):
        two.file(source).write_text(tree.replace("member: uid=u,ou=People,dc=example,dc=com\n", ""))

    two.agent.sync()
    two.agent.sync()

    assert "u@example.com" not in scim.active()


@pytest.mark.parametrize("end", ["leaves", "is deleted"])
def test_a_successor_with_an_account_of_its_own_keeps_nobody_in(two: Company, end: str) -> None:
    two.holds("partners", person("px"))
    two.holds("corp", person("u"), person("v"), group("app-a", "u", "v", "px"))
    two.agent.sync()

    two.holds("partners", person("px", mail="u@example.com"))
    two.holds("corp", person("u") if end == "leaves" else "", person("v"), group("app-a", "v", "px"))
    for _ in range(3):
        two.agent.sync()

    us = next(user for user in two.scim.users.values() if user["externalId"] == anchor_of("u"))
    members = next(item for item in two.scim.groups.values() if item["displayName"] == "app-a")["members"]
    assert us["active"] is False
    assert us["id"] not in {member["value"] for member in members}
