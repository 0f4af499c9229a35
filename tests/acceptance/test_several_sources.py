"""Two Active Directory domains and an LDAP tree in one connection: everybody stands upstream, each once.

Who must be where is kept in a model of the three directories, from which their content is written as well. It shares
no code with the agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from tests.agent_runner import Agent
from tests.servers.openldap import SUFFIX, OpenLdap
from tests.servers.samba import SambaDomain
from tests.servers.scim_service import ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%"}
MANAGED = ["corp.test", "partner.test", "example.com"]


class Server(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def modify(self, ldif: str) -> None: ...


@dataclass
class Group:
    """`people` by their keys in the model, `nested` are groups of the same directory."""

    people: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)


@dataclass
class Company:
    """Who exists (key → address upstream) and who is in which group."""

    addresses: dict[str, str]
    groups: dict[str, Group]

    def everybody_in(self, name: str) -> set[str]:
        group = self.groups[name]
        people = {self.addresses[key] for key in group.people}
        return people.union(*(self.everybody_in(inner) for inner in group.nested))

    def expected(self) -> dict[str, set[str]]:
        return {name: self.everybody_in(name) for name in self.groups if name.startswith("app-")}


def account(context: str, name: str, lines: str) -> str:
    classes = f"objectClass: user\nsAMAccountName: {name}\nuserAccountControl: 512\n"
    return f"dn: {in_ad(context, name)}\n{classes}{lines}\n"


def contact(context: str, name: str, mail: str) -> str:
    return f"dn: CN={name},CN=Users,{context}\nobjectClass: contact\nmail: {mail}\n\n"


def ad_group(context: str, name: str, members: list[str]) -> str:
    lines = "".join(f"member: {member}\n" for member in members)
    return f"dn: CN={name},CN=Users,{context}\nobjectClass: group\nsAMAccountName: {name}\n{lines}\n"


def in_ad(context: str, name: str) -> str:
    return f"CN={name},CN=Users,{context}"


CORP, PARTNER = "DC=corp,DC=test", "DC=partner,DC=test"


@dataclass
class Three:
    """The three servers, running, and the agent that reads them."""

    agent: Agent
    scim: ScimService
    corp: SambaDomain
    partner: SambaDomain
    tree: OpenLdap
    company: Company

    @property
    def servers(self) -> dict[str, Server]:
        return {"corp": self.corp, "partners": self.partner, "tree": self.tree}

    def joiner(self, source: str) -> None:
        """Somebody new comes into the directory and the selected group of a source."""
        name, group = f"new-{source}", {"corp": "app-corp", "partners": "app-partner", "tree": "app-tree"}[source]
        self.company.addresses[name] = f"{name}@joined.example"
        self.company.groups[group].people.append(name)
        if source == "tree":
            dn, entry = f"uid={name},ou=People,{SUFFIX}", tree_person(name, self.company.addresses[name])
            where = f"cn=app-tree,ou=Groups,{SUFFIX}"
        else:
            context = CORP if source == "corp" else PARTNER
            dn, where = in_ad(context, name), in_ad(context, group)
            entry = account(context, name, f"mail: {self.company.addresses[name]}\n")
        records = entry.replace("\n", "\nchangetype: add\n", 1)
        self.servers[source].modify(f"{records}\ndn: {where}\nchangetype: modify\nadd: member\nmember: {dn}\n")


def tree_person(uid: str, mail: str) -> str:
    names = f"uid: {uid}\ncn: {uid}\nsn: {uid}\n"
    return f"dn: uid={uid},ou=People,{SUFFIX}\nobjectClass: inetOrgPerson\n{names}mail: {mail}\n\n"


def tree_group(name: str, members: list[str]) -> str:
    lines = "".join(f"member: {member}\n" for member in members)
    return f"dn: cn={name},ou=Groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: {name}\n{lines}\n"


def written(corp: SambaDomain, partner: SambaDomain, tree: OpenLdap) -> Company:
    """Write the three directories, and return what was written."""
    addresses: dict[str, str] = {}
    partner_text = ""
    for number in range(6):
        addresses[f"p{number}"] = f"p{number}@{'partner.test' if number % 2 else 'agency.example'}"
        partner_text += account(PARTNER, f"p{number}", f"mail: {addresses[f'p{number}']}\n")
    partner_text += ad_group(PARTNER, "crew", [in_ad(PARTNER, "p4"), in_ad(PARTNER, "p5")])
    partner_text += ad_group(
        PARTNER, "app-partner", [in_ad(PARTNER, "p1"), in_ad(PARTNER, "p2"), in_ad(PARTNER, "crew")]
    )
    partner.load(partner_text)

    corp_text = ""
    for number in range(4):
        addresses[f"c{number}"] = f"c{number}@corp.test"
        corp_text += account(CORP, f"c{number}", f"mail: {addresses[f'c{number}']}\n")
    # Guests: one with an address, and one who is known by the logon name alone.
    addresses |= {"anna": "anna@guest.example", "bo": "bo_b@guest.example"}
    name = "userPrincipalName: {}#EXT#@corp.test\n"
    corp_text += account(CORP, "anna", name.format("anna_guest.example") + "mail: anna@guest.example\n")
    corp_text += account(CORP, "bo", name.format("bo_b_guest.example"))
    for number in range(3):
        addresses[f"k{number}"] = f"k{number}@contact.example"
        corp_text += contact(CORP, f"k{number}", addresses[f"k{number}"])
    foreign = [f"<SID={partner.sid_of(who)}>" for who in ("p0", "p1", "p3")]
    inside = [in_ad(CORP, who) for who in ("c0", "c1", "anna", "bo", "k0", "k1")]
    corp_text += ad_group(CORP, "team", [in_ad(CORP, "k2"), in_ad(CORP, "c2"), f"<SID={partner.sid_of('p2')}>"])
    corp_text += ad_group(CORP, "hired", [in_ad(CORP, "c3")])
    corp_text += ad_group(CORP, "app-corp", [*inside, *foreign, in_ad(CORP, "team")])
    corp_text += ad_group(CORP, "app-both", [in_ad(CORP, "c0"), f"<SID={partner.sid_of('p0')}>", in_ad(CORP, "k0")])
    corp.load(corp_text)

    for number in range(5):
        addresses[f"t{number}"] = f"t{number}@{'example.com' if number % 2 else 'tree.example'}"
    people = "".join(tree_person(uid, mail) for uid, mail in addresses.items() if uid[0] == "t")
    tree.load(people + tree_group("app-tree", [f"uid=t{number},ou=People,{SUFFIX}" for number in range(4)]))

    return Company(
        addresses,
        {
            "crew": Group(["p4", "p5"]),
            "app-partner": Group(["p1", "p2"], ["crew"]),
            "team": Group(["k2", "c2", "p2"]),
            "hired": Group(["c3"]),
            "app-corp": Group(["c0", "c1", "anna", "bo", "k0", "k1", "p0", "p1", "p3"], ["team"]),
            "app-both": Group(["c0", "p0", "k0"]),
            "app-tree": Group(["t0", "t1", "t2", "t3"]),
        },
    )


@pytest.fixture
def three(tmp_path: Path, scim: ScimService, agent: Agent) -> Iterator[Three]:
    # Short names: what Samba makes of them are paths of sockets, which may have 107 characters.
    corp, partner = SambaDomain(tmp_path / "c"), SambaDomain(tmp_path / "p", realm="PARTNER.TEST")
    place = tmp_path / "slapd"
    place.mkdir()
    tree = OpenLdap(place)
    company = written(corp, partner, tree)
    agent.configure(
        scim,
        corp.settings(),
        partner.settings(name="partners"),
        tree.settings(name="tree"),
        guard=OPEN,
        external={"managed_domains": MANAGED},
    )
    with ExitStack() as running:
        for server in (corp, partner, tree):
            running.enter_context(server)
        yield Three(agent, scim, corp, partner, tree, company)


def test_every_member_of_three_directories_stands_upstream_once(three: Three) -> None:
    report = three.agent.sync()

    assert report["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()
    names = sorted(user["userName"] for user in three.scim.users.values())
    assert names == sorted(set().union(*three.company.expected().values()))
    assert [len(group["members"]) for group in three.scim.groups.values()] == [
        len(three.company.everybody_in(group["displayName"])) for group in three.scim.groups.values()
    ]
    shown = three.agent.run("external", "--json").document
    assert {user["email"] for user in shown["external_users"]} == {
        address for address in names if address.rpartition("@")[2] not in MANAGED
    }


@pytest.mark.parametrize("missing", ["corp", "partners", "tree"])
def test_a_source_that_cannot_be_reached_takes_nobody_away_and_holds_the_others_up_in_nothing(
    three: Three, missing: str
) -> None:
    three.agent.sync()
    three.servers[missing].stop()
    others = [name for name in three.servers if name != missing]
    for name in others:
        three.joiner(name)
    writes = len(three.scim.writes())

    report = three.agent.sync()

    assert report["exit_code"] == 4
    assert [text for text in report["sentences"] if f"source {missing}" in text]
    assert [source["name"] for source in report["sources"] if source["completeness"] != "complete"] == [missing]
    assert three.scim.membership() == three.company.expected()
    assert {method for method, _ in three.scim.writes()[writes:]} == {"POST", "PATCH"}
    assert len(three.scim.active()) == len(three.scim.users)

    three.servers[missing].start()
    three.joiner(missing)
    assert three.agent.sync()["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()


def test_whoever_only_a_missing_source_knows_is_counted_and_comes_when_it_is_back(three: Three) -> None:
    three.partner.stop()

    report = three.agent.sync()

    assert report["exit_code"] == 4
    known = {
        name: {address for address in members if address not in partners(three.company)}
        for name, members in three.company.expected().items()
        if name != "app-partner"
    }
    assert three.scim.membership() == known
    unresolved = three.agent.run("status", "--json").document["unresolved"]
    assert {item["group"]: item["members"] for item in unresolved} == {"app-both": 1, "app-corp": 4}

    three.partner.start()
    assert three.agent.sync()["exit_code"] == 0
    assert three.scim.membership() == three.company.expected()


def partners(company: Company) -> set[str]:
    return {address for key, address in company.addresses.items() if key[0] == "p"}


def test_contacts_are_inactive_where_the_setting_says_so(three: Three) -> None:
    three.agent.sources[0]["inactive_when"] = ["disabled", "contact"]
    three.agent.write()

    three.agent.sync()

    assert {name for name in three.scim.active() if name.endswith("@contact.example")} == set()
    assert "anna@guest.example" in three.scim.active()


def test_a_contact_and_a_user_of_another_source_with_one_address_are_one_member(three: Three) -> None:
    """The tree's t4 is in no group there, and in the first domain's group as a contact."""
    record = contact(CORP, "t4-contact", three.company.addresses["t4"]).replace("\n", "\nchangetype: add\n", 1)
    member = f"member: {in_ad(CORP, 't4-contact')}\n"
    three.corp.modify(f"{record}dn: {in_ad(CORP, 'app-corp')}\nchangetype: modify\nadd: member\n{member}")
    three.company.groups["app-corp"].people.append("t4")
    # And t0, who is in a group of both.
    record = contact(CORP, "t0-contact", three.company.addresses["t0"]).replace("\n", "\nchangetype: add\n", 1)
    member = f"member: {in_ad(CORP, 't0-contact')}\n"
    three.corp.modify(f"{record}dn: {in_ad(CORP, 'app-corp')}\nchangetype: modify\nadd: member\n{member}")
    three.company.groups["app-corp"].people.append("t0")
    three.agent.sections["same_person"] = {"by": ["{mail}"]}
    three.agent.write()

    assert three.agent.sync()["exit_code"] == 0

    assert three.scim.membership() == three.company.expected()
    assert len(three.scim.users) == len(set().union(*three.company.expected().values()))
    names = {user["userName"]: user.get("name", {}).get("familyName") for user in three.scim.users.values()}
    assert (names["t0@tree.example"], names["t4@tree.example"]) == ("t0", "t4")  # contacts have no family name
