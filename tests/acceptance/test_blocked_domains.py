"""A blocked domain has nobody upstream: what counts is the address the account has there."""

from __future__ import annotations

import pytest

from tests.acceptance.guests import OPEN, cycle
from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import Fault, ScimService
from tests.servers.vendor_service import VendorService

GUEST, STAFF = person("guest", mail="guest@rival.example"), person("staff")
HOME = person("guest", mail="guest@example.com")
APP_A = group("app-a", "guest", "staff")
BLOCKED = {"blocked_domains": ["rival.example"]}


def test_an_account_that_keeps_an_address_of_a_blocked_domain_goes_whatever_the_directory_says(
    agent: Agent, locked: VendorService
) -> None:
    cycle(agent, locked, GUEST + STAFF + APP_A)
    assert locked.membership()["app-a"] == {"guest@rival.example", "staff@example.com"}
    cycle(agent, locked, HOME + STAFF + APP_A)

    cycle(agent, locked, HOME + STAFF + APP_A, **BLOCKED)
    idle = [agent.sync()["counts"]["planned"] for _ in range(2)]

    assert locked.membership()["app-a"] == {"staff@example.com"}
    assert locked.breaches == []
    assert idle == [0, 0]

    cycle(agent, locked, HOME + STAFF + APP_A)
    agent.sync()

    assert locked.membership()["app-a"] == {"guest@rival.example", "staff@example.com"}


def test_an_account_that_gets_an_address_of_another_domain_stays(agent: Agent, scim: ScimService) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A)

    cycle(agent, scim, HOME + STAFF + APP_A, **BLOCKED)

    assert scim.membership()["app-a"] == {"guest@example.com", "staff@example.com"}
    assert scim.active() == {"guest@example.com", "staff@example.com"}


def test_a_blocked_account_goes_also_where_the_directory_has_no_address_any_more(
    agent: Agent, scim: ScimService
) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A)
    nameless = person("guest", mail="")
    cycle(agent, scim, nameless + STAFF + APP_A)
    assert scim.active() == {"guest@rival.example", "staff@example.com"}

    cycle(agent, scim, nameless + STAFF + APP_A, **BLOCKED)

    assert scim.active() == {"staff@example.com"}
    assert scim.membership()["app-a"] == {"staff@example.com"}


def test_an_account_that_is_replaced_for_its_domain_gives_way_to_the_new_one(
    agent: Agent, locked: VendorService
) -> None:
    rules = {"changed_address": "replace"}
    cycle(agent, locked, GUEST + STAFF + APP_A, **rules)

    cycle(agent, locked, person("guest", mail="guest@p.example") + STAFF + APP_A, guard=OPEN, **rules, **BLOCKED)
    agent.sync()

    assert locked.membership()["app-a"] == {"guest@p.example", "staff@example.com"}


def test_two_spellings_of_one_address_are_one_account(agent: Agent, locked: VendorService) -> None:
    rules = {"changed_address": "replace"}
    cycle(agent, locked, person("guest", mail="Jörg@müller.example") + STAFF + APP_A, **rules)

    report = cycle(agent, locked, person("guest", mail="jÖrg@xn--mller-kva.example") + STAFF + APP_A, **rules)

    assert report["counts"]["writes"] == 0
    assert len(locked.users) == 2
    assert locked.membership()["app-a"] == {"Jörg@müller.example", "staff@example.com"}


@pytest.mark.parametrize(
    ("behaviour", "changed_address"), [("locked", "replace"), ("ordinary", "keep"), ("invite", "replace")]
)
def test_an_account_whose_other_address_is_refused_goes_for_the_blocked_one_it_has(
    agent: Agent, behaviour: str, changed_address: str
) -> None:
    rules = {"changed_address": changed_address}
    with VendorService(behaviour) as service:
        cycle(agent, service, GUEST + STAFF + APP_A, **rules)
        moved = person("guest", mail="guest@p.example")
        service.refuses = lambda user: "taken" if user["userName"] == "guest@p.example" else None
        service.faults.append(Fault(lambda r: r.method == "PUT" and "guest@p" in str(r.body), times=99, status=400))

        for _ in range(5):
            cycle(agent, service, moved + STAFF + APP_A, **rules, **BLOCKED)

        assert service.membership()["app-a"] == {"staff@example.com"}
        assert behaviour == "locked" or service.active() == {"staff@example.com"}


@pytest.mark.parametrize(
    "address",
    ["<x@rival.example>", "x@rival.example>", "x@rival.example,", "x@rival.example/", "x@rival.example)",
     "x\u200b@rival.example", "x@[rival.example]", "x@-rival.example", "x;y@rival.example"],
)  # fmt: skip
def test_what_is_no_address_gets_in_by_no_rule(agent: Agent, scim: ScimService, address: str) -> None:
    report = cycle(agent, scim, person("x", mail=address) + STAFF + group("app-a", "x", "staff"), **BLOCKED)

    assert report["exit_code"] == 1
    assert "is not an e-mail address" in str(report["sentences"])
    assert scim.active() == {"staff@example.com"}


@pytest.mark.parametrize(
    "external",
    [
        {"managed_domains": ["example.com"], "domains": {"guests.example.com": "skip"}},
        {"managed_domains": ["corp.example.com"], "blocked_domains": ["example.com"]},
    ],
)
def test_rules_that_contradict_each_other_by_subdomains_are_refused(
    agent: Agent, scim: ScimService, external: dict[str, object]
) -> None:
    agent.configure(scim, external=external | {"subdomains": True})

    done = agent.run("sync")

    assert done.code == 2
    assert "subdomains = false" in done.err


@pytest.mark.parametrize(("status", "times"), [(503, 3), (500, 1), (400, 1), (409, 1)])
def test_a_passing_trouble_takes_nobody_out_whose_address_is_a_good_one_by_now(
    agent: Agent, scim: ScimService, status: int, times: int
) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A)
    scim.faults.append(Fault(lambda r: r.method == "PUT" and "rival" not in str(r.body), times=times, status=status))

    for _ in range(3):
        cycle(agent, scim, HOME + STAFF + APP_A, **BLOCKED)

        assert len(scim.membership()["app-a"]) == 2
        assert len(scim.active()) == 2
    assert scim.active() == {"guest@example.com", "staff@example.com"}


def test_who_is_out_for_a_blocked_address_that_the_service_does_not_change_is_told_in_every_cycle(
    agent: Agent, scim: ScimService
) -> None:
    cycle(agent, scim, GUEST + STAFF + APP_A)
    scim.faults.append(Fault(lambda r: r.method == "PUT", times=999, status=400))

    reports = [cycle(agent, scim, HOME + STAFF + APP_A, **BLOCKED) for _ in range(7)]

    assert scim.active() == {"staff@example.com"}
    assert [report["exit_code"] for report in reports] == [1] * 7
