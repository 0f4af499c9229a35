"""An invented organisation of any size, and who must be found in its groups.

The same arguments always give the same organisation, byte for byte. `Organisation.expected_members` walks the
groups by itself and shares no code with the agent, so that the two can be compared.

    organisation = Organisation.build(users=10_000, groups=200)
    path.write_text(organisation.ldif(with_anchors=True), encoding="utf-8")
    organisation.expected_members()["app-001"]  # {"zoe.nunez@example.com", ...}

Every spelling trap that a real directory holds is in there: names outside ASCII, commas in names, member DNs in
another case than the entry's, people without mail, nested groups, cycles, groups that list themselves.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

SUFFIX = "dc=example,dc=com"
PEOPLE = f"ou=People,{SUFFIX}"
GROUPS = f"ou=Groups,{SUFFIX}"
MANAGED_DOMAIN = "example.com"
FOREIGN_DOMAINS = ("partner-consulting.example", "studio-lumen.example", "freelance.example")

_POSIX_APPLICATION = "app-009"
_EMPTY_APPLICATION = "app-019"  # a posixGroup too: the only kind whose schema allows no member
_NAMESPACE = uuid.UUID("6f1c9a52-6f0e-4b7e-9a53-0b7a4c1d2e3f")  # arbitrary; anchors are derived from it

_GIVEN_NAMES = (
    "Aisha Amélie Anna Arjun Björn Camila Chidi Dmitri Élodie Emma Farah Finn Giulia Hana Hugo Ines Ivan Jack Jürgen "
    "Kenji Leïla Liam Łukasz Maja Mateo Mei Nadia Noah Olga Omar Paula Priya Ravi Rosa Sara Sören Tariq Thu Uma Viktor "
    "Wanda Xavier Yara Yusuf Zoë Žana"
)
_FAMILY_NAMES = (
    "Abe Adeyemi Andersson Bäcker Bianchi Bauer Castillo Chen Dubois Dvořák Eriksen Fischer Fournier García Gruber "
    "Haddad Hansen Ito Ivanova Jansen Johansson Kaya Khan Kowalski Kumar Larsen Li Lindqvist Martin Mbeki Moreau "
    "Müller Nguyen Novák Nuñez O'Brien Okafor Patel Petrov Rossi Santos Sato Schmidt Silva Smith Søndergaard Tanaka "
    "Vargas Weber Wójcik Yildiz Zhang"
)
# Mail addresses are ASCII; everything that stands in the names above must be listed here.
_PLAIN_LETTERS = str.maketrans("áäéëíïñóöøřüÉŁŽ", "aaeeiinoooruELZ", "'")


class GroupKind(StrEnum):
    """The three ways in which OpenLDAP directories hold groups; the value is the object class."""

    NAMES = "groupOfNames"
    UNIQUE_NAMES = "groupOfUniqueNames"
    POSIX = "posixGroup"


@dataclass(frozen=True, slots=True)
class Person:
    """One person. `mail` is None for those who have none, and nobody expects to find them anywhere."""

    uid: str
    dn: str
    given_name: str
    family_name: str
    mail: str | None
    anchor: str
    number: int


@dataclass(frozen=True, slots=True)
class Group:
    """One group. `members` are the uids of the people listed directly, `nested` the cn of the groups listed."""

    cn: str
    dn: str
    kind: GroupKind
    anchor: str
    members: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Organisation:
    """People and their groups. Groups called "app-…" are meant for the scope `name:app-*`."""

    people: tuple[Person, ...]
    groups: tuple[Group, ...]

    @classmethod
    def build(
        cls, users: int = 10_000, groups: int = 200, foreign_share: float = 0.15, seed: int = 20_250_101
    ) -> Organisation:
        """Invent an organisation. At least 20 users and 10 groups, so that every trap finds a place."""
        if users < 20 or groups < 10:
            raise ValueError(f"an organisation needs 20 users and 10 groups, not {users} and {groups}")
        chance = random.Random(seed)
        people = tuple(_invent_people(users, foreign_share, chance))
        return cls(people, tuple(_invent_groups(people, groups, chance)))

    def ldif(self, *, with_anchors: bool = False, with_containers: bool = True) -> str:
        """Return the content for slapadd (schemas core, cosine, inetorgperson and nis), parents first.

        Without anchors slapd makes its own entryUUIDs; with them the LDIF connector can read the file as well.
        Containers are the suffix, ou=People and ou=Groups; leave them out where the server has them already.
        """
        posix_uids = {uid for group in self.groups if group.kind is GroupKind.POSIX for uid in group.members}
        records = list(_containers(with_anchors=with_anchors)) if with_containers else []
        records.extend(
            _person_record(person, posix=person.uid in posix_uids, with_anchor=with_anchors) for person in self.people
        )
        dn_of_person = {person.uid: person.dn for person in self.people}
        dn_of_group = {group.cn: group.dn for group in self.groups}
        records.extend(
            _group_record(group, number, dn_of_person, dn_of_group, with_anchor=with_anchors)
            for number, group in enumerate(self.groups)
        )
        # No version line: RFC 2849 asks for one, but slapadd takes it for an attribute.
        return "\n\n".join("\n".join(record) for record in records) + "\n"

    def expected_members(self) -> dict[str, set[str]]:
        """Return, for every group's cn, the mails of all people in it, directly or through nested groups."""
        mail_of = {person.uid: person.mail for person in self.people}
        group_of = {group.cn: group for group in self.groups}
        expected: dict[str, set[str]] = {}
        for group in self.groups:
            seen = {group.cn}
            waiting = [group]
            mails: set[str] = set()
            while waiting:
                current = waiting.pop()
                mails.update(mail for uid in current.members if (mail := mail_of[uid]) is not None)
                for cn in current.nested:
                    if cn not in seen:
                        seen.add(cn)
                        waiting.append(group_of[cn])
            expected[group.cn] = mails
        return expected


def anchor_of(name: str) -> str:
    """Return the entryUUID that the LDIF gives to the person (by uid), group (by cn) or container of that name."""
    return str(uuid.uuid5(_NAMESPACE, name))


def _invent_people(count: int, foreign_share: float, chance: random.Random) -> Iterator[Person]:
    foreign = set(chance.sample(range(count), round(count * foreign_share)))
    given_names, family_names = _GIVEN_NAMES.split(), _FAMILY_NAMES.split()
    used: dict[str, int] = {}
    for number in range(count):
        given_name, family_name = chance.choice(given_names), chance.choice(family_names)
        stem = f"{given_name}.{family_name}".translate(_PLAIN_LETTERS).lower()
        used[stem] = used.get(stem, 0) + 1
        local_part = stem if used[stem] == 1 else f"{stem}{used[stem]}"
        domain = chance.choice(FOREIGN_DOMAINS) if number in foreign else MANAGED_DOMAIN
        uid = f"u{number:06d}"
        # Every tenth is named as Active Directory names people, with a comma that is escaped (RFC 4514, 2.4).
        rdn = f"cn={family_name}\\, {given_name} {number}" if number % 10 == 7 else f"uid={uid}"
        yield Person(
            uid=uid,
            dn=f"{rdn},{PEOPLE}",
            given_name=given_name,
            family_name=family_name,
            mail=None if number % 97 == 13 else f"{local_part}@{domain}",
            anchor=anchor_of(uid),
            number=number,
        )


def _invent_groups(people: tuple[Person, ...], count: int, chance: random.Random) -> Iterator[Group]:
    """Half of the groups are applications; below them three layers of teams, beside them clubs that nobody selects.

    Each layer nests groups of the next: an application reaches people through up to three teams in between.
    """
    applications = [f"app-{number:03d}" for number in range(count // 2)]
    rest = count - len(applications)
    clubs = [f"club-{number:03d}" for number in range(rest // 4)]
    teams = [f"team-{number:03d}" for number in range(rest - len(clubs))]
    layers = [applications, teams[0::3], teams[1::3], teams[2::3]]
    layer_of = {cn: depth for depth, layer in enumerate(layers) for cn in layer}
    # One person in twenty is in no group at all.
    joining = [person.uid for person in people if person.number % 20 != 11]

    planted = _planted_nesting(layers)
    for position, cn in enumerate([*applications, *teams, *clubs]):
        kind = _kind_of(position, cn)
        depth = layer_of.get(cn)
        nested: list[str] = []
        if kind is not GroupKind.POSIX and depth is not None and depth + 1 < len(layers):
            below = layers[depth + 1]
            nested = chance.sample(below, min(len(below), chance.choice((0, 0, 1, 2, 3))))
        size = _size_of(cn, len(joining), chance)
        yield Group(
            cn=cn,
            dn=f"cn={cn},{GROUPS}",
            kind=kind,
            anchor=anchor_of(cn),
            members=tuple(sorted(chance.sample(joining, size))),
            nested=tuple(sorted({*nested, *planted.get(cn, ())})),
        )


def _kind_of(position: int, cn: str) -> GroupKind:
    if position % 10 in (7, 8):
        return GroupKind.UNIQUE_NAMES
    # Teams nest others, which a posixGroup cannot.
    return GroupKind.POSIX if position % 10 == 9 and not cn.startswith("team-") else GroupKind.NAMES


def _planted_nesting(layers: list[list[str]]) -> dict[str, list[str]]:
    """Return what is nested whatever chance says: a chain of full depth, a cycle in it, a group inside itself."""
    application, upper, middle, lower = (layer[0] for layer in layers)
    itself = layers[0][1]
    planted = {application: [upper], upper: [middle], middle: [lower], lower: [upper], itself: [itself]}
    if _POSIX_APPLICATION in layers[0]:
        planted[application].append(_POSIX_APPLICATION)
    return planted


def _size_of(cn: str, available: int, chance: random.Random) -> int:
    if cn == "app-002":
        return available * 3 // 5  # the one that nearly everybody has
    if cn == "app-003":
        return 1
    if cn == _EMPTY_APPLICATION:
        return 0
    # Most groups are small and a few are large.
    return min(available, max(2, round(chance.paretovariate(1.1) * 5)))


def _containers(*, with_anchors: bool) -> Iterator[list[str]]:
    yield [
        *_head(SUFFIX, anchor_of(SUFFIX) if with_anchors else None, "organization", "dcObject"),
        "o: Example",
        "dc: example",
    ]
    for dn, name in ((PEOPLE, "People"), (GROUPS, "Groups")):
        yield [*_head(dn, anchor_of(dn) if with_anchors else None, "organizationalUnit"), f"ou: {name}"]


def _person_record(person: Person, *, posix: bool, with_anchor: bool) -> list[str]:
    classes = ("inetOrgPerson", "posixAccount") if posix else ("inetOrgPerson",)
    record = _head(person.dn, person.anchor if with_anchor else None, *classes)
    # The value of the RDN must stand in the entry (X.501), so a cn in the DN comes first.
    if person.dn.startswith("cn="):
        record.append(_line("cn", f"{person.family_name}, {person.given_name} {person.number}"))
    record.append(_line("cn", f"{person.given_name} {person.family_name}"))
    record.append(_line("sn", person.family_name))
    record.append(_line("givenName", person.given_name))
    record.append(_line("displayName", f"{person.given_name} {person.family_name}"))
    record.append(_line("uid", person.uid))
    if person.mail is not None:
        record.append(_line("mail", person.mail))
    if posix:
        account = 10_000 + person.number
        record += [f"uidNumber: {account}", "gidNumber: 10000", f"homeDirectory: /nonexistent/{person.uid}"]
    return record


def _group_record(
    group: Group, number: int, dn_of_person: dict[str, str], dn_of_group: dict[str, str], *, with_anchor: bool
) -> list[str]:
    record = [*_head(group.dn, group.anchor if with_anchor else None, group.kind.value), _line("cn", group.cn)]
    if group.kind is GroupKind.POSIX:
        record.append(f"gidNumber: {20_000 + number}")
        record.extend(_line("memberUid", uid) for uid in group.members)
        return record
    attribute = "member" if group.kind is GroupKind.NAMES else "uniqueMember"
    people = (dn_of_person[uid] for uid in group.members)
    groups = (dn_of_group[cn] for cn in group.nested)
    for position, dn in enumerate((*people, *groups)):
        # A DN is the same in any case (RFC 4514 and the matching rules of RFC 4517), and directories do hold both.
        record.append(_line(attribute, dn.replace(SUFFIX, SUFFIX.upper()) if position % 25 == 24 else dn))
    return record


def _head(dn: str, anchor: str | None, *classes: str) -> list[str]:
    record = [_line("dn", dn), *(f"objectClass: {name}" for name in classes)]
    return [*record, f"entryUUID: {anchor}"] if anchor is not None else record


def _line(attribute: str, value: str) -> str:
    """Write one LDIF line (RFC 2849), in base64 where the value is not a SAFE-STRING."""
    if value.isascii() and value[:1] not in (" ", ":", "<") and not value.endswith(" "):
        return f"{attribute}: {value}"
    return f"{attribute}:: {base64.b64encode(value.encode()).decode('ascii')}"
