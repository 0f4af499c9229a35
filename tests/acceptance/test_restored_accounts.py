"""After an older state was put back, everybody has the account that was theirs last, and no other is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from agent.made_since import what_stands
from agent.plan.operations import UpdateGroup
from tests.acceptance.guests import BY_UID, GUEST, MOVED, NEW, OLD, OPEN, SHUT, STAFF, STAFF_NAME, cycle
from tests.acceptance.test_restored_state import OPEN as OPEN_GUARD
from tests.acceptance.test_restored_state import restore
from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, group, person
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService

LISTED = STAFF + group("app-a", "guest", "staff")
OWN_ADDRESS = "guest@example.com"


@pytest.fixture(params=["locked", "invite"])
def service(request: pytest.FixtureRequest) -> Iterator[VendorService]:
    with VendorService(request.param) as running:
        yield running


@pytest.fixture
def locked() -> Iterator[VendorService]:
    with VendorService("locked") as running:
        yield running


def back_up(agent: Agent) -> None:
    shutil.copytree(agent.state, agent.directory / "backup")


def record(verb: str, scim_id: str | None, result: str = "done", **more: str) -> dict[str, Any]:
    about = {"source": "corp", "anchor": "a", "label": "x", "dn": "d", "address": None}
    return {"verb": verb, "scim_id": scim_id, "result": result, **about, **more}


def names_of(scim: ScimService) -> dict[str, str]:
    return {scim_id: str(user["userName"]) for scim_id, user in scim.users.items()}


def guests(service: VendorService) -> set[str]:
    return service.membership()["app-a"] - {STAFF_NAME}


def test_an_account_that_was_retired_since_is_not_taken_for_the_current_one(
    agent: Agent, service: VendorService
) -> None:
    cycle(agent, service, GUEST + LISTED, changed_address="replace")
    back_up(agent)
    for content in (MOVED, GUEST):
        cycle(agent, service, content + LISTED, changed_address="replace")
        agent.sync()
    assert guests(service) == {OLD}
    restore(agent)

    for _ in range(3):
        assert agent.sync()["exit_code"] == 0
        assert guests(service) == {OLD}
    assert service.breaches == []


@pytest.mark.parametrize("replaced", ["since", "before"])
def test_of_two_accounts_that_stand_the_last_one_that_was_made_is_the_person_s(
    agent: Agent, service: VendorService, replaced: str
) -> None:
    """The one before it could not be retired yet: the guard held it."""
    cycle(agent, service, GUEST + LISTED, changed_address="replace")
    if replaced == "since":
        back_up(agent)
    cycle(agent, service, MOVED + LISTED, guard=SHUT, changed_address="replace")
    if replaced == "before":
        back_up(agent)
    cycle(agent, service, GUEST + LISTED, guard=SHUT, changed_address="replace")
    assert guests(service) == {OLD, NEW}
    restore(agent)

    for _ in range(3):
        cycle(agent, service, GUEST + LISTED, guard=OPEN, changed_address="replace")
        assert OLD in guests(service)

    assert guests(service) == {OLD}
    assert service.breaches == []


def test_an_account_that_the_state_has_set_aside_already_stays_so(agent: Agent, service: VendorService) -> None:
    """It was the person's again for a while since."""
    cycle(agent, service, GUEST + LISTED, changed_address="replace")
    cycle(agent, service, MOVED + LISTED, guard=SHUT, changed_address="replace")
    back_up(agent)
    for content in (GUEST, MOVED):
        cycle(agent, service, content + LISTED, guard=SHUT, changed_address="replace")
    assert guests(service) == {OLD, NEW}
    restore(agent)

    for _ in range(3):
        cycle(agent, service, MOVED + LISTED, guard=OPEN, changed_address="replace")
        assert NEW in guests(service)

    assert guests(service) == {NEW}
    assert service.breaches == []


@pytest.mark.parametrize("now", ["there", "gone"])
def test_an_account_that_passed_to_an_heir_since_is_the_heir_s(agent: Agent, scim: ScimService, now: str) -> None:
    """And whose it was is back, with an account of their own. The state knows them by the one of before."""
    agent.configure(scim, guard=OPEN_GUARD)
    first = person("ann") + person("ben")
    heir = person("ann").replace(anchor_of("ann"), anchor_of("heir"))
    back = person("ann", mail="a.berg@example.com").replace("uid=ann,", "uid=berg,")
    listed = group("app-a", "ben", "ann")
    agent.ldif.write_text(first + listed)
    agent.sync()
    back_up(agent)
    for content in (person("ben") + heir + listed, person("ben") + heir + back + group("app-a", "ben", "ann", "berg")):
        agent.ldif.write_text(content)
        for _ in range(2):
            agent.sync()
    standing, accounts = scim.membership(), {name: scim_id for scim_id, name in names_of(scim).items()}
    assert scim.active() == {"ann@example.com", "ben@example.com", "a.berg@example.com"}
    restore(agent)
    before = len(scim.requests)
    if now == "gone":
        agent.ldif.write_text(person("ben") + back + group("app-a", "ben", "berg"))

    for _ in range(3):
        agent.sync()

    assert {name: scim_id for scim_id, name in names_of(scim).items()} == accounts
    if now == "there":
        assert scim.membership() == standing
        # Nobody is taken for new, which would be refused where nothing may be taken over.
        assert not [one for one in scim.requests[before:] if one.method == "POST"]
    else:
        assert scim.active() == {"ben@example.com", "a.berg@example.com"}


def test_an_account_that_was_taken_over_is_in_the_trail_with_the_address_it_has(
    agent: Agent, locked: VendorService
) -> None:
    locked.users["7"] = {"id": "7", "userName": "guest", "emails": [{"value": OLD, "primary": True}], "active": True}

    cycle(agent, locked, MOVED + LISTED, mapping=BY_UID)

    records = [json.loads(line) for line in (agent.state / "audit.jsonl").read_text().splitlines()]
    told = {record["scim_id"]: record["address"] for record in records if record["verb"] == "create user"}
    assert told["7"] == OLD
    assert locked.breaches == []


@pytest.mark.parametrize("now", ["there", "gone"])
def test_the_account_of_a_former_address_is_judged_by_the_address_it_has(
    agent: Agent, locked: VendorService, now: str
) -> None:
    """Came as a guest after the back-up, and got an address of the organisation and an account of its own."""
    without = STAFF + group("app-a", "staff")
    cycle(agent, locked, without, changed_address="replace")
    back_up(agent)
    own = person("guest", mail=OWN_ADDRESS)
    for content in (GUEST, own):
        cycle(agent, locked, content + LISTED, changed_address="replace")
        agent.sync()
    standing, in_use = guests(locked), locked.active()
    assert standing == {OWN_ADDRESS}
    restore(agent)
    agent.ldif.write_text(own + LISTED if now == "there" else without)

    for _ in range(3):
        agent.sync()

    assert locked.breaches == []
    assert guests(locked) == (standing if now == "there" else set())
    assert locked.active() == (in_use if now == "there" else in_use - {OWN_ADDRESS})


def test_a_group_with_the_id_of_a_user_says_nothing_about_the_user() -> None:
    made = record("create user", "7", address=OLD), record("create group", "7", anchor="g", label="app-a")
    about_group = record(UpdateGroup.verb, "7", anchor="g", label="app-b"), record("delete group", "7", anchor="g")

    assert what_stands([*made, *about_group]).made == [made[0]]
    assert [one["label"] for one in what_stands([*made, about_group[0]]).made] == ["x", "app-b"]


def test_a_create_whose_answer_was_lost_is_looked_for_though_the_record_has_the_id_of_whom_it_was_to_replace() -> None:
    begun = record("create user", "7", "interrupted")

    made = record("create user", "7")
    assert what_stands([made, begun]).made == [made, begun | {"scim_id": ""}]
    assert what_stands([begun, record("create user", "8")]).made == [record("create user", "8")]
    assert what_stands([record("create user", "7", "rejected")]).made == []
