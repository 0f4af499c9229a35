"""Two Active Directory domains and an LDAP tree, with a model of who is where, from which they are written.

The model is what tests compare with. It shares no code with the agent, and nobody is in it whom it did not write.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.servers.openldap import SUFFIX, OpenLdap
from tests.servers.samba import SambaDomain

CORP, PARTNERS, TREE = "corp", "partners", "tree"
SOURCES = (CORP, PARTNERS, TREE)
MANAGED = ["corp.test", "partner.test", "example.com"]
# Whoever is in these is in no other selected group, so only the tests that select them meet them.
ALSO_LISTED, ODD_GUESTS = "also-listed", "odd-guests"
ODD_GUEST = "eve"
_CONTEXTS = {CORP: "DC=corp,DC=test", PARTNERS: "DC=partner,DC=test"}
# groupType (MS-ADTS 2.2.12): only a domain-local group may hold members of another forest, and no primary group is one.
_GLOBAL, _DOMAIN_LOCAL = -2147483646, -2147483644


class Server(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def modify(self, ldif: str) -> None: ...


@dataclass
class Group:
    """`people` are keys of the model; `nested` are names of groups, of whatever directory."""

    source: str
    people: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)


@dataclass
class Company:
    """Who there is (key → address upstream, and the source that knows them) and who is in which group."""

    addresses: dict[str, str] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def add(self, source: str, key: str, address: str) -> None:
        self.addresses[key], self.homes[key] = address, source

    def expected(self, *also: str, without: str = "") -> dict[str, set[str]]:
        """The selected groups and who is in them; without a source, what the others know of that."""
        return {
            name: self._everybody_in(name, without)
            for name, group in self.groups.items()
            if group.source != without and (name.startswith("app-") or name in also)
        }

    def people(self, *also: str, without: str = "") -> list[str]:
        """Everybody who is in a selected group, each once."""
        return sorted(set().union(*self.expected(*also, without=without).values()))

    def unknown(self, without: str) -> dict[str, int]:
        """How many members of each selected group only the missing source knows."""
        counted = {name: self._unknown_in(name, without) for name in self.expected(without=without)}
        return {name: number for name, number in counted.items() if number}

    def _everybody_in(self, name: str, without: str) -> set[str]:
        group = self.groups[name]
        if group.source == without:
            return set()
        people = {self.addresses[key] for key in group.people if self.homes[key] != without}
        return people.union(*(self._everybody_in(inner, without) for inner in group.nested))

    def _unknown_in(self, name: str, without: str) -> int:
        group = self.groups[name]
        if group.source == without:
            return 1  # the list of a group names a nested one once, whoever is in it
        people = sum(1 for key in group.people if self.homes[key] == without)
        return people + sum(self._unknown_in(inner, without) for inner in group.nested)


@dataclass
class ThreeDirectories:
    """The three servers, and what they hold."""

    corp: SambaDomain
    partners: SambaDomain
    tree: OpenLdap
    company: Company
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def written(cls, directory: Path) -> ThreeDirectories:
        """Write the directories below a folder; the servers are not started."""
        # Short names: what Samba makes of them are paths of sockets, which may have 107 characters.
        corp, partners = SambaDomain(directory / "c"), SambaDomain(directory / "p", realm="PARTNER.TEST")
        (directory / "slapd").mkdir()
        tree, company = OpenLdap(directory / "slapd"), Company()
        _write_partners(partners, company)
        _write_tree(tree, company)
        _write_corp(corp, partners, company)
        return cls(corp, partners, tree, company)

    @property
    def servers(self) -> dict[str, Server]:
        return {CORP: self.corp, PARTNERS: self.partners, TREE: self.tree}

    @property
    def settings(self) -> list[dict[str, object]]:
        return [self.corp.settings(), self.partners.settings(name=PARTNERS), self.tree.settings(name=TREE)]

    @contextmanager
    def out_of_reach(self, source: str) -> Iterator[None]:
        """Stop a server for a while."""
        self.servers[source].stop()
        try:
            yield
        finally:
            self.servers[source].start()

    def leaver(self, source: str, key: str) -> str:
        """Somebody leaves the selected group of a source, and stays in the directory. Returns the address."""
        group = f"app-{source}"
        if source == TREE:
            dn, where = _in_tree(key), f"cn={group},ou=Groups,{SUFFIX}"
        elif self.company.homes[key] == source:
            dn, where = _in_domain(source, key), _in_domain(source, group)
        else:
            dn, where = f"<SID={self.partners.sid_of(key)}>", _in_domain(source, group)
        self.servers[source].modify(f"dn: {where}\nchangetype: modify\ndelete: member\nmember: {dn}\n")
        self.company.groups[group].people.remove(key)
        return self.company.addresses[key]

    def joiner(self, source: str) -> str:
        """Somebody new comes into a directory and its selected group. Returns the address."""
        key, group = f"new{next(self._numbers)}", f"app-{source}"
        address = f"{key}@joined.example"
        if source == TREE:
            dn, where, entry = _in_tree(key), f"cn={group},ou=Groups,{SUFFIX}", _tree_person(key, address)
        else:
            dn, where = _in_domain(source, key), _in_domain(source, group)
            entry = _account(source, key, f"mail: {address}\n")
        record = entry.replace("\n", "\nchangetype: add\n", 1)
        self.servers[source].modify(f"{record}dn: {where}\nchangetype: modify\nadd: member\nmember: {dn}\n")
        self.company.add(source, key, address)
        self.company.groups[group].people.append(key)
        return address

    def key_of(self, address: str) -> str:
        """Whose address it is."""
        return next(key for key, known in self.company.addresses.items() if known == address)


def _write_partners(domain: SambaDomain, company: Company) -> None:
    text = ""
    for number in range(8):
        key = f"p{number}"
        company.add(PARTNERS, key, f"{key}@{'partner.test' if number % 2 else 'agency.example'}")
        text += _account(PARTNERS, key, f"mail: {company.addresses[key]}\n")
    for name, people, nested in (
        ("crew", ["p4", "p5"], []),
        ("visitors", ["p6", "p7"], []),
        ("app-partners", ["p1", "p2"], ["crew"]),
    ):
        company.groups[name] = Group(PARTNERS, people, nested)
        text += _domain_group(PARTNERS, name, [_in_domain(PARTNERS, member) for member in people + nested])
    domain.load(text)
    domain.load(_primary_group(domain, PARTNERS, "p7", "visitors"))


def _write_corp(domain: SambaDomain, partners: SambaDomain, company: Company) -> None:
    text = ""
    for number in range(5):
        company.add(CORP, f"c{number}", f"c{number}@corp.test")
        text += _account(CORP, f"c{number}", f"mail: c{number}@corp.test\n")
    # Guests: one with an address, one known by the logon name alone, and two whose logon name tells no address, of whom
    # one has another.
    company.add(CORP, "anna", "anna@guest.example")
    company.add(CORP, "bo", "bo_b@guest.example")
    company.add(CORP, "ola", "ola@guest.example")
    logon = "userPrincipalName: {}#EXT#@corp.test\n"
    text += _account(CORP, "anna", logon.format("anna_guest.example") + "mail: anna@guest.example\n")
    text += _account(CORP, "bo", logon.format("bo_b_guest.example"))
    text += _account(CORP, "ola", logon.format("ola_berg") + "proxyAddresses: SMTP:ola@guest.example\n")
    text += _account(CORP, ODD_GUEST, logon.format(ODD_GUEST))
    for number in range(3):
        company.add(CORP, f"k{number}", f"k{number}@contact.example")
        text += _contact(f"k{number}", f"k{number}@contact.example")
    for key in ("t0", "t4"):
        text += _contact(f"{key}-contact", company.addresses[key])
    for name, kind, people, nested in (
        ("hired", _GLOBAL, ["c3"], []),
        ("team", _DOMAIN_LOCAL, ["k2", "c2", "p2"], []),
        ("app-corp", _DOMAIN_LOCAL, ["c0", "c1", "anna", "bo", "k0", "k1", "p0", "p1", "p3"],
         ["team", "hired", "visitors"]),
        ("app-both", _DOMAIN_LOCAL, ["c0", "p0", "k0"], []),
        ("app-primary", _GLOBAL, ["c2", "c4"], []),
    ):  # fmt: skip
        company.groups[name] = Group(CORP, people, nested)
        foreign = {key for key in people if company.homes[key] == PARTNERS} | {
            inner for inner in nested if company.groups[inner].source == PARTNERS
        }
        members = [
            f"<SID={partners.sid_of(member)}>" if member in foreign else _in_domain(CORP, member)
            for member in people + nested
        ]
        text += _domain_group(CORP, name, members, kind)
    text += _domain_group(CORP, ALSO_LISTED, [_in_domain(CORP, "t0-contact"), _in_domain(CORP, "t4-contact")])
    company.groups[ALSO_LISTED] = Group(CORP, ["t0", "t4"])
    text += _domain_group(CORP, ODD_GUESTS, [_in_domain(CORP, key) for key in (ODD_GUEST, "ola", "anna")])
    company.groups[ODD_GUESTS] = Group(CORP, ["ola", "anna"])
    domain.load(text)
    domain.load(_primary_group(domain, CORP, "c3", "hired") + _primary_group(domain, CORP, "c4", "app-primary"))


def _write_tree(server: OpenLdap, company: Company) -> None:
    for number in range(5):
        company.add(TREE, f"t{number}", f"t{number}@{'example.com' if number % 2 else 'tree.example'}")
    company.groups["app-tree"] = Group(TREE, ["t0", "t1", "t2", "t3"])  # t4 is in no group here
    people = "".join(_tree_person(f"t{number}", company.addresses[f"t{number}"]) for number in range(5))
    members = "".join(f"member: {_in_tree(key)}\n" for key in company.groups["app-tree"].people)
    server.load(f"{people}dn: cn=app-tree,ou=Groups,{SUFFIX}\nobjectClass: groupOfNames\ncn: app-tree\n{members}\n")


def _in_domain(source: str, name: str) -> str:
    return f"CN={name},CN=Users,{_CONTEXTS[source]}"


def _in_tree(uid: str) -> str:
    return f"uid={uid},ou=People,{SUFFIX}"


def _account(source: str, name: str, lines: str) -> str:
    classes = f"objectClass: user\nsAMAccountName: {name}\nuserAccountControl: 512\n"
    return f"dn: {_in_domain(source, name)}\n{classes}{lines}\n"


def _contact(name: str, mail: str) -> str:
    return f"dn: {_in_domain(CORP, name)}\nobjectClass: contact\nmail: {mail}\n\n"


def _domain_group(source: str, name: str, members: list[str], kind: int = _GLOBAL) -> str:
    lines = "".join(f"member: {member}\n" for member in members)
    head = f"objectClass: group\nsAMAccountName: {name}\ngroupType: {kind}\n"
    return f"dn: {_in_domain(source, name)}\n{head}{lines}\n"


def _primary_group(domain: SambaDomain, source: str, name: str, group: str) -> str:
    """A change record after which the group lists the account no longer (MS-SAMR 3.1.1.8.2)."""
    identifier = domain.sid_of(group).rpartition("-")[2]
    return (
        f"dn: {_in_domain(source, name)}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {identifier}\n\n"
    )


def _tree_person(uid: str, mail: str) -> str:
    names = f"uid: {uid}\ncn: {uid}\nsn: {uid}\n"
    return f"dn: {_in_tree(uid)}\nobjectClass: inetOrgPerson\n{names}mail: {mail}\n\n"
