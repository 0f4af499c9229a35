"""What services do with users of foreign domains, and which calls they get: four behaviours, a thousand users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.vendor_service import ACCOUNT, VendorService

USERS, EXTERNAL = 1_000, 300
OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


@dataclass(frozen=True)
class Company:
    """Users u0 to u999; the first 300 have addresses of partner.example. Everybody is in one of two groups."""

    addresses: dict[str, str] = field(
        default_factory=lambda: {
            f"u{n}": f"u{n}@partner.example" if n < EXTERNAL else f"u{n}@example.com" for n in range(USERS)
        }
    )
    names: dict[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()

    def text(self) -> str:
        here = [uid for uid in self.addresses if uid not in self.gone]
        people = "".join(
            person(uid, mail=self.addresses[uid], extra=f"displayName: {self.names.get(uid, uid)}\n") for uid in here
        )
        halves = [uid for uid in here if int(uid[1:]) % 2], [uid for uid in here if not int(uid[1:]) % 2]
        return people + group("app-a", *halves[0]) + group("app-b", *halves[1])

    def members(self, *, without: frozenset[str] = frozenset()) -> dict[str, set[str]]:
        here = [uid for uid in self.addresses if uid not in self.gone | without]
        return {
            name: {self.addresses[uid] for uid in here if int(uid[1:]) % 2 == odd}
            for name, odd in (("app-a", 1), ("app-b", 0))
        }


def some(first: int, number: int) -> list[str]:
    return [f"u{n}" for n in range(first, first + number)]


@pytest.fixture(params=["locked", "invite", "ordinary", "refuse"])
def vendor(request: pytest.FixtureRequest) -> Iterator[VendorService]:
    with VendorService(request.param) as service:
        yield service


def test_each_kind_of_service_gets_exactly_the_calls_it_allows(agent: Agent, vendor: VendorService) -> None:
    refuses = vendor.behaviour == "refuse"
    agent.configure(vendor, guard=OPEN, upstream={"external_users": vendor.behaviour})
    company = Company()
    agent.ldif.write_text(company.text())

    report = agent.sync()

    first = vendor.calls()
    assert first["POST", "managed"] == USERS - EXTERNAL
    assert first["POST", "external"] == EXTERNAL
    assert first["POST", "group"] == 2
    assert set(first) <= {("POST", "managed"), ("POST", "external"), ("POST", "group"), ("PATCH", "group")}
    left_out = frozenset(some(0, EXTERNAL)) if refuses else frozenset()
    assert vendor.membership() == company.members(without=left_out)
    assert report["exit_code"] == (1 if refuses else 0)

    # 50 of either kind change their display name, 20 of either kind leave.
    changed, leaving = some(0, 50) + some(500, 50), frozenset(some(100, 20) + some(600, 20))
    company = replace(company, names=dict.fromkeys(changed, "Other Name"), gone=leaving)
    agent.ldif.write_text(company.text())
    before = len(vendor.requests)

    report = agent.sync()

    second = vendor.calls(before)
    allowed = {("PUT", "managed"): 50, ("PATCH", "managed"): 20}
    match vendor.behaviour:
        case "ordinary" | "invite":
            allowed |= {("PUT", "external"): 50, ("PATCH", "external"): 20}
        case "refuse":
            # What is refused is tried again when it is another than before.
            allowed |= {("POST", "external"): 50}
    assert {call: number for call, number in second.items() if call[1] != "group"} == allowed
    assert vendor.membership() == {
        name: {address for address in members if vendor.behaviour != "refuse" or address.endswith("@example.com")}
        for name, members in company.members().items()
    }
    assert len([text for text in report["notices"] if "was changed in the directory" in text]) == (
        20 if vendor.behaviour == "locked" else 0
    )

    # Nothing changes: nothing is sent, and what was refused is not tried again.
    before = len(vendor.requests)
    agent.sync()
    assert vendor.calls(before) == {}
    assert vendor.breaches == []


@pytest.fixture
def locked() -> Iterator[VendorService]:
    with VendorService("locked") as service:
        yield service


def settled(agent: Agent, service: VendorService, content: str, **external: object) -> None:
    agent.configure(service, guard=OPEN, upstream={"profile": "atlassian"}, external=external)
    agent.ldif.write_text(content)
    assert agent.sync()["exit_code"] == 0


GUEST = person("guest", mail="guest@partner.example")
STAFF = person("staff")


def test_a_changed_address_of_a_locked_account_is_told_of_and_kept(agent: Agent, locked: VendorService) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    agent.ldif.write_text(person("guest", mail="new@partner.example") + STAFF + group("app-a", "guest", "staff"))
    before = len(locked.requests)

    report = agent.sync()

    assert locked.calls(before) == {}
    assert locked.membership() == {"app-a": {"guest@partner.example", "staff@example.com"}}
    assert [text for text in report["notices"] if "(new@partner.example)" in text and "changed_address" in text]
    assert [text for text in agent.run("status", "--json").document["notices"] if "(new@partner.example)" in text]


@pytest.mark.parametrize("address", ["new@partner.example", "guest@example.com"], ids=["external", "managed"])
def test_a_changed_address_is_another_account_where_the_policy_says_so(
    agent: Agent, locked: VendorService, address: str
) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"), changed_address="replace")
    agent.ldif.write_text(person("guest", mail=address) + STAFF + group("app-a", "guest", "staff"))

    agent.sync()
    # Never a moment without access: the new account is in before the old one is out.
    assert {address, "staff@example.com"} <= locked.membership()["app-a"]
    agent.sync()

    assert locked.membership() == {"app-a": {address, "staff@example.com"}}
    assert locked.breaches == []
    assert "guest@partner.example" in locked.active()  # it is the person's own
    before = len(locked.requests)
    assert agent.sync()["exit_code"] == 0
    assert locked.calls(before) == {}


def test_who_changes_to_a_foreign_address_and_back_has_the_first_account_again(
    agent: Agent, locked: VendorService
) -> None:
    settled(agent, locked, STAFF + group("app-a", "staff"), changed_address="replace")
    first = next(iter(locked.users))
    agent.ldif.write_text(person("staff", mail="staff@partner.example") + group("app-a", "staff"))
    agent.sync()
    agent.sync()
    assert locked.membership() == {"app-a": {"staff@partner.example"}}
    assert locked.active() == {"staff@partner.example"}  # the old one was the organisation's to deactivate

    agent.ldif.write_text(STAFF + group("app-a", "staff"))
    agent.sync()
    agent.sync()

    assert locked.membership() == {"app-a": {"staff@example.com"}}
    assert locked.users[first]["active"] is True
    assert locked.breaches == []


def test_a_domain_that_is_verified_makes_its_accounts_equal_once_and_one_that_is_sold_costs_no_call(
    agent: Agent, locked: VendorService
) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    agent.ldif.write_text(GUEST.replace("Guest Example", "Renamed Guest") + STAFF + group("app-a", "guest", "staff"))
    agent.sync()
    before = len(locked.requests)

    locked.domains = {"example.com", "partner.example"}
    agent.configure(
        locked,
        guard=OPEN,
        upstream={"profile": "atlassian"},
        external={"managed_domains": ["example.com", "partner.example"]},
    )
    agent.sync()

    assert locked.calls(before) == {("PUT", "managed"): 1}
    assert {user["displayName"] for user in locked.users.values()} == {"Renamed Guest", "Staff Example"}

    before = len(locked.requests)
    locked.domains = {"example.com"}
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    assert locked.calls(before) == {}
    assert locked.breaches == []
    assert locked.membership() == {"app-a": {"guest@partner.example", "staff@example.com"}}


def test_a_locked_account_that_leaves_and_returns_loses_and_gets_its_memberships_only(
    agent: Agent, locked: VendorService
) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    agent.ldif.write_text(GUEST + STAFF + group("app-a", "staff"))
    before = len(locked.requests)
    report = agent.sync()
    assert locked.membership() == {"app-a": {"staff@example.com"}}
    assert report["counts"]["let go user"] == 1
    assert locked.calls(before) == {("PATCH", "group"): 1}

    agent.ldif.write_text(GUEST + STAFF + group("app-a", "guest", "staff"))
    agent.sync()

    assert locked.membership() == {"app-a": {"guest@partner.example", "staff@example.com"}}
    assert locked.breaches == []
    assert len(locked.users) == 2


def test_an_account_that_is_there_already_is_taken_over_without_a_change(agent: Agent, locked: VendorService) -> None:
    there = locked.add_user(
        userName="guest@partner.example", emails=[{"value": "guest@partner.example"}], active=True, displayName="Own"
    )
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))

    assert locked.membership() == {"app-a": {"guest@partner.example", "staff@example.com"}}
    assert locked.users[there]["displayName"] == "Own"
    assert locked.breaches == []


def test_after_a_lost_state_no_account_of_a_person_is_taken_for_one_of_the_organisation(
    agent: Agent, locked: VendorService
) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    (agent.state / "rollcall.sqlite3").unlink()
    agent.ldif.write_text(person("guest") + STAFF + group("app-a", "guest", "staff"))

    agent.sync()

    assert locked.breaches == []
    assert {"guest@example.com", "staff@example.com"} <= locked.membership()["app-a"]


@pytest.mark.parametrize("state", ["known", "lost"])
def test_a_group_that_the_service_does_not_rename_is_told_of_and_its_members_are_kept_up(
    agent: Agent, locked: VendorService, state: str
) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "staff", anchor="g-1"))
    if state == "lost":
        (agent.state / "rollcall.sqlite3").unlink()
    agent.ldif.write_text(GUEST + STAFF + group("app-new", "guest", "staff", anchor="g-1"))

    reports = [agent.sync(), agent.sync(), agent.sync()]

    assert locked.membership() == {"app-a": {"guest@partner.example", "staff@example.com"}}
    assert [text for report in reports for text in report["sentences"] if "does not rename groups" in text]
    assert reports[-1]["counts"]["writes"] == 0
    assert agent.run("status", "--json").document["rejected"][0]["operation"] == "rename group"


def test_an_account_whose_number_vanishes_is_told_of_as_probably_unlinked(agent: Agent, locked: VendorService) -> None:
    settled(agent, locked, GUEST + STAFF + group("app-a", "guest", "staff"))
    guest = next(user for user in locked.users.values() if user["userName"].startswith("guest"))
    number = guest.pop(ACCOUNT)

    report = agent.sync("--full")

    assert [text for text in report["notices"] if "guest@partner.example is probably unlinked" in text]
    assert [text for text in agent.run("status", "--json").document["notices"] if "probably unlinked" in text]
    guest[ACCOUNT] = number
    assert agent.sync("--full")["notices"] == []


def test_an_invitation_that_is_gone_is_not_sent_again_in_every_cycle(agent: Agent) -> None:
    with VendorService("invite") as service:
        agent.configure(service, guard=OPEN, upstream={"profile": "hugging-face"})
        agent.ldif.write_text(GUEST + STAFF + group("app-a", "guest", "staff"))
        agent.sync()
        declined = next(scim_id for scim_id, user in service.users.items() if user["userName"].startswith("guest"))
        del service.users[declined]
        service.groups[next(iter(service.groups))]["members"] = []
        agent.ldif.write_text(
            GUEST.replace("Guest Example", "Renamed Guest") + STAFF + group("app-a", "guest", "staff")
        )

        report = agent.sync()
        again = agent.sync()

        assert service.invitations == ["guest@partner.example"]
        assert report["exit_code"] == 1
        assert "declined" in str(report["sentences"])
        assert again["counts"]["rejected"] == 1


def test_twenty_refused_external_users_hold_nothing_else_up(agent: Agent) -> None:
    """Eighty come in, and those who leave go in the same cycle, although more than the error budget was refused."""
    with VendorService("ordinary") as service:
        service.refuses = lambda user: "this address is on our block list" if user["userName"] in refused else None
        guests = {f"g{n}": f"g{n}@partner.example" for n in range(100)}
        refused = {f"g{n}@partner.example" for n in range(20)}
        agent.configure(service, guard=OPEN)
        agent.ldif.write_text(STAFF + person("leaver") + group("app-a", "staff", "leaver"))
        agent.sync()
        agent.ldif.write_text(
            STAFF + "".join(person(uid, mail=mail) for uid, mail in guests.items()) + group("app-a", "staff", *guests)
        )

        report = agent.sync()

        assert report["exit_code"] == 1
        assert report["counts"]["create user"] == 80
        assert report["counts"]["rejected"] == 20
        assert len([text for text in report["sentences"] if "this address is on our block list" in text]) == 20
        assert service.membership() == {"app-a": {"staff@example.com", *guests.values()} - refused}
        assert service.active() == {"staff@example.com", *guests.values()} - refused
