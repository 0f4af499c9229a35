"""Whose membership the guard holds keeps the account, unless the directory itself says that it is to be out of use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.company import BY_NUMBER, Company, entry
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

STAFF, GUESTS = uids(300), [f"g{number}" for number in range(15)]
DISABLED = "nsAccountLock: true\n"
REST = people(300) + group("app-rest", *STAFF)


def guests(*, domain: str = "partner.example", extra: str = "") -> str:
    return "".join(person(uid, mail=f"{uid}@{domain}", extra=extra) for uid in GUESTS)


def of_guests(names: set[str]) -> int:
    return sum(name.startswith("g") for name in names)


LISTED = group("app-a", *STAFF[:20], *GUESTS)
UNLISTED = group("app-a", *STAFF[:20])


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    """15 of 315 users may be deactivated at once, and 10 of 35 members leave the group."""
    agent.configure(scim)
    agent.ldif.write_text(REST + guests() + LISTED)
    assert agent.sync()["exit_code"] == 0
    return agent


@pytest.mark.parametrize(
    "rules",
    [
        {"groups": {"name:app-a": "skip"}},
        {"policy": "skip"},
        {"domains": {"partner.example": "skip"}},
        {"blocked_domains": ["partner.example"]},
    ],
)
def test_a_policy_deactivates_nobody_whose_membership_is_held(
    ready: Agent, scim: ScimService, rules: dict[str, Any]
) -> None:
    ready.sections["external"] |= rules
    ready.write()

    held = ready.sync()

    assert held["exit_code"] == 3
    assert "group app-a would lose 15 of 35 members" in held["sentences"][0]
    assert of_guests(scim.active()) == of_guests(scim.membership()["app-a"]) == 15
    assert ready.run("approve", held["plan_digest"]).code == 0
    assert ready.sync()["exit_code"] == 0
    assert of_guests(scim.active()) == of_guests(scim.membership()["app-a"]) == 0


@pytest.mark.parametrize("directory", [guests(extra=DISABLED) + UNLISTED, UNLISTED], ids=["disabled", "gone"])
def test_who_is_disabled_or_gone_is_deactivated_though_the_membership_is_held(
    ready: Agent, scim: ScimService, directory: str
) -> None:
    ready.ldif.write_text(REST + directory)

    held = ready.sync()

    assert held["exit_code"] == 3
    assert of_guests(scim.active()) == 0
    assert of_guests(scim.membership()["app-a"]) == 15


def test_a_second_account_of_a_person_stays_in_use_while_its_membership_is_held(company: Company) -> None:
    numbers = [str(number) for number in range(12)]
    corp = "".join(entry(f"c{number}", number) for number in numbers) + group("app-c", *(f"c{n}" for n in numbers))
    partners = "".join(entry(f"p{number}", number) for number in numbers) + group("app-p", *(f"p{n}" for n in numbers))
    company.agent.sections["guard"] = {"users_share": "100%", "members_from": 0}
    company.agent.write()
    company.holds("corp", corp)
    company.holds("partners", partners)
    company.agent.sync()
    before = company.scim.active()
    company.declare(**BY_NUMBER)

    held = company.agent.sync()

    assert held["exit_code"] == 3
    assert "group app-p would lose 12 of" in held["sentences"][0]
    assert company.scim.active() == before
