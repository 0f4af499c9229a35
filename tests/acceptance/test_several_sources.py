"""Two Active Directory domains and an LDAP tree in one connection: everybody stands upstream, each once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.acceptance.three_directories import (
    ALSO_LISTED,
    CORP,
    MANAGED,
    ODD_GUEST,
    ODD_GUESTS,
    PARTNERS,
    SOURCES,
    Company,
    ThreeDirectories,
)
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}


@dataclass
class Three:
    """The directories, and an agent that has not read them yet."""

    agent: Agent
    scim: ScimService
    directories: ThreeDirectories

    @property
    def company(self) -> Company:
        return self.directories.company

    def select(self, *also: str) -> None:
        self.agent.sections["scope"] = {"groups": ["name:app-*", *(f"name:{name}" for name in also)]}
        self.agent.write()

    def user_names(self) -> list[str]:
        """Of all users upstream, so that somebody who is there twice is seen."""
        return sorted(user["userName"] for user in self.scim.users.values())

    def incomplete(self, report: dict[str, list[dict[str, str]]]) -> list[str]:
        return [source["name"] for source in report["sources"] if source["completeness"] != "complete"]


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeDirectories]:
    """They run for all tests here: what a test adds stays, and the model tells of it."""
    three = ThreeDirectories.written(tmp_path_factory.mktemp("three"))
    with ExitStack() as running:
        for server in (three.corp, three.partners, three.tree):
            running.enter_context(server)
        yield three


@pytest.fixture
def three(directories: ThreeDirectories, scim: ScimService, agent: Agent) -> Three:
    agent.configure(scim, *directories.settings, guard=OPEN, external={"managed_domains": MANAGED})
    return Three(agent, scim, directories)


def test_every_member_of_three_directories_stands_upstream_once(three: Three) -> None:
    report = three.agent.sync()

    assert report["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()
    assert three.user_names() == three.company.people()
    assert {group["displayName"]: len(group["members"]) for group in three.scim.groups.values()} == {
        name: len(members) for name, members in three.company.expected().items()
    }
    assert len(three.scim.active()) == len(three.scim.users)
    shown = three.agent.run("external", "--json").document
    assert sorted(user["email"] for user in shown["external_users"]) == [
        address for address in three.company.people() if address.rpartition("@")[2] not in MANAGED
    ]


def test_the_guest_whose_logon_name_tells_no_address_is_reported_and_never_passes_for_managed(three: Three) -> None:
    three.select(ODD_GUESTS)

    report = three.agent.sync()

    assert three.scim.membership() == three.company.expected(ODD_GUESTS)
    assert three.user_names() == three.company.people(ODD_GUESTS)
    assert [text for text in report["sentences"] if f"CN={ODD_GUEST}," in text and "guest" in text]


@pytest.mark.parametrize("missing", SOURCES)
def test_a_source_that_cannot_be_reached_takes_nobody_away_and_holds_the_others_up_in_nothing(
    three: Three, missing: str
) -> None:
    three.agent.sync()
    before = three.user_names()
    with three.directories.out_of_reach(missing):
        joined = [three.directories.joiner(source) for source in SOURCES if source != missing]
        writes = len(three.scim.writes())

        report = three.agent.sync()

    assert report["exit_code"] == 4
    assert [text for text in report["sentences"] if f"source {missing}" in text]
    assert three.incomplete(report) == [missing]
    assert three.scim.membership() == three.company.expected()
    assert three.user_names() == sorted([*before, *joined])
    assert {method for method, _ in three.scim.writes()[writes:]} == {"POST", "PATCH"}
    assert len(three.scim.active()) == len(three.scim.users)

    three.directories.joiner(missing)
    assert three.agent.sync()["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()


@pytest.mark.parametrize("missing", SOURCES)
def test_whoever_leaves_a_group_of_the_other_sources_leaves_while_one_is_missing(three: Three, missing: str) -> None:
    others = [source for source in SOURCES if source != missing]
    joined = {source: three.directories.joiner(source) for source in others}
    three.agent.sync()
    before = three.user_names()
    with three.directories.out_of_reach(missing):
        left = {three.directories.leaver(source, three.directories.key_of(joined[source])) for source in others}

        report = three.agent.sync()

    assert three.incomplete(report) == [missing]
    assert three.scim.membership() == three.company.expected()
    assert three.user_names() == before
    assert three.scim.active() >= set(before) - left

    assert three.agent.sync()["exit_code"] == 0
    assert three.user_names() == before  # deactivated, and not deleted
    assert three.scim.active() == set(before) - left


def test_somebody_of_a_missing_source_who_leaves_a_group_of_another_is_out_of_it_at_once(three: Three) -> None:
    three.agent.sync()
    before = three.user_names()
    with three.directories.out_of_reach(PARTNERS):
        left = three.directories.leaver(CORP, "p3")

        report = three.agent.sync()

    assert three.incomplete(report) == [PARTNERS]
    assert three.scim.membership() == three.company.expected()
    assert three.user_names() == before
    assert three.agent.sync()["exit_code"] == 0
    assert three.scim.active() == set(before) - {left}


@pytest.mark.parametrize("missing", SOURCES)
def test_whoever_only_a_source_knows_that_is_missing_at_first_is_counted_and_comes_when_it_is_back(
    three: Three, missing: str
) -> None:
    with three.directories.out_of_reach(missing):
        report = three.agent.sync()

    assert report["exit_code"] == 4
    assert [text for text in report["sentences"] if f"source {missing}" in text]
    assert three.scim.membership() == three.company.expected(without=missing)
    assert three.user_names() == three.company.people(without=missing)
    unresolved = three.agent.run("status", "--json").document["unresolved"]
    assert {item["group"]: item["members"] for item in unresolved} == three.company.unknown(missing)

    assert three.agent.sync()["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()
    assert three.user_names() == three.company.people()
    assert three.agent.run("status", "--json").document["unresolved"] == []


def test_contacts_are_inactive_where_the_setting_says_so(three: Three) -> None:
    three.agent.sources[0]["inactive_when"] = ["disabled", "contact"]
    three.agent.write()

    three.agent.sync()

    assert sorted(three.scim.active()) == [
        address for address in three.company.people() if not address.endswith("@contact.example")
    ]


def test_the_setting_for_contacts_holds_for_those_who_stand_upstream_already_and_takes_nobody_out(three: Three) -> None:
    three.agent.sync()
    three.agent.sources[0]["inactive_when"] = ["disabled", "contact"]
    three.agent.write()

    first = three.agent.sync()
    inactive = set(three.user_names()) - three.scim.active()

    three.agent.sources[0]["inactive_when"] = ["disabled"]
    three.agent.write()
    second = three.agent.sync()

    assert [report["sources"][0]["extent"] for report in (first, second)] == ["full", "full"]
    assert inactive == {address for address in three.company.people() if address.endswith("@contact.example")}
    assert three.scim.active() == set(three.user_names()) == set(three.company.people())
    assert three.scim.membership() == three.company.expected()


def test_a_contact_and_a_user_of_another_source_with_one_address_are_one_member(three: Three) -> None:
    """The tree has one of them in its selected group, and the other in none."""
    three.select(ALSO_LISTED)
    three.agent.sections["same_person"] = {"by": ["{mail}"]}
    three.agent.write()

    assert three.agent.sync()["exit_code"] == 0

    assert three.scim.membership() == three.company.expected(ALSO_LISTED)
    assert three.user_names() == three.company.people(ALSO_LISTED)
    names = {user["userName"]: user.get("name", {}).get("familyName") for user in three.scim.users.values()}
    assert (names["t0@tree.example"], names["t4@tree.example"]) == ("t0", "t4")  # contacts have no family name


def test_who_joined_a_group_that_cannot_be_read_and_left_another_is_not_deactivated(three: Three) -> None:
    directories, groups = three.directories, three.company.groups
    key = directories.key_of(directories.joiner(PARTNERS))
    member = f"add: member\nmember: <SID={directories.partners.sid_of(key)}>\n"
    directories.corp.modify(f"dn: CN=app-corp,CN=Users,DC=corp,DC=test\nchangetype: modify\n{member}")
    groups["app-corp"].people.append(key)
    directories.leaver(PARTNERS, key)
    three.agent.sync()
    users = "CN=Users,DC=partner,DC=test"
    member = f"add: member\nmember: CN={key},{users}\n"
    directories.partners.modify(f"dn: CN=app-partners,{users}\nchangetype: modify\n{member}")
    groups["app-partners"].people.append(key)

    with directories.out_of_reach(PARTNERS):
        left = directories.leaver(CORP, key)
        three.agent.sync()

    assert left in three.scim.active()
    three.agent.sync()
    assert left in three.scim.active()
    assert three.scim.membership() == three.company.expected()
