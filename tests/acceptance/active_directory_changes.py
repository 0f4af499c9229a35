"""A series of changes to a domain, as an administrator makes them, and who must stand upstream after each.

What must be is worked out from what ldapsearch shows. It shares no code with the agent.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.servers.samba import ADMIN, ADMIN_PASSWORD, NAMING_CONTEXT, SambaDomain

COMPANY = f"OU=Company,{NAMING_CONTEXT}"
PEOPLE, PARTNERS, GROUPS = f"OU=People,{COMPANY}", f"OU=Partners,{COMPANY}", f"OU=Groups,{COMPANY}"
ELSEWHERE = f"OU=Elsewhere,{NAMING_CONTEXT}"
MANY = 5000
_DISABLED, _ENABLED = 514, 512
_SHOW_DELETED = "!1.2.840.113556.1.4.417"
Change = tuple[str, str, tuple[str, ...]]


def beginning() -> str:
    """The content before the first change, for `SambaDomain.load`."""
    units = "".join(
        f"dn: {dn}\nobjectClass: organizationalUnit\n\n" for dn in (COMPANY, PEOPLE, PARTNERS, GROUPS, ELSEWHERE)
    )
    people = "".join(_person(f"u{number}") for number in range(30))
    people += _person("stays", unit=PARTNERS)  # when a whole unit leaves, somebody is still there
    groups = _group("app-a", *(f"u{number}" for number in range(10)))
    groups += _group("app-b", *(f"u{number}" for number in range(5, 15))) + _group("team-x", "u20", "u21", "u22")
    groups += _group("app-primary")
    # Somebody was deleted before: whether that can be seen decides how deletions are found.
    return units + people + groups + _person("past") + _delete(_dn("past"))


def record_of_person(name: str) -> str:
    """As a change record."""
    return _add(_person(name))


def record_of_members(group: str, how: str, member: str) -> str:
    """As a change record: `how` is add or delete."""
    return _members(group, how, member)


def record_of_foreign_member(group: str, how: str, sid: str) -> str:
    """As a change record; the domain makes a foreign security principal where it has none for this SID."""
    return _members(group, how, sid=sid)


def crowd(many: int = MANY, name: str = "app-crowd") -> str:
    """A group of many contacts."""
    contacts = "".join(
        f"dn: CN=c{number},{PARTNERS}\nobjectClass: contact\nmail: c{number}@crowd.example\n\n"
        for number in range(many)
    )
    return contacts + _group(name, *(f"c{number}" for number in range(many)), unit=PARTNERS)


def changes() -> Iterator[Change]:
    """What is done (in words, as change records, with which controls), before every cycle."""
    for what, records in (*_people_and_members(), *_groups_and_units()):
        yield what, records, ()


def _people_and_members() -> Iterator[tuple[str, str]]:
    yield "a person is added", _add(_person("new"))
    yield "and joins a group", _members("app-a", "add", "new")
    yield "a family name changes", _replace(_dn("u1"), "sn", "Changed")
    yield "an address changes", _replace(_dn("u1"), "mail", "u1.changed@corp.test")
    yield "a given name is removed", _replace(_dn("u3"), "givenName")
    yield "the given name comes back", _replace(_dn("u3"), "givenName", "Third")
    yield "an account is disabled", _replace(_dn("u4"), "userAccountControl", str(_DISABLED))
    yield "and enabled again", _replace(_dn("u4"), "userAccountControl", str(_ENABLED))
    yield "a person is renamed", _rename(_dn("u4"), "CN=u4-renamed")
    yield "and leaves a group under the new name", _members("app-a", "delete", "u4-renamed")
    yield "and renamed back", _rename(_dn("u4-renamed"), "CN=u4")
    yield "a person moves to another unit", _rename(_dn("u5"), "CN=u5", PARTNERS)
    yield "and back", _rename(_dn("u5", PARTNERS), "CN=u5", PEOPLE)
    yield "a contact is added to a group", (_add(_contact("guest")) + _members("app-a", "add", "guest", unit=PARTNERS))
    yield "a foreign principal is added to a group", _members("app-a", "add", sid="S-1-5-21-1-2-3-1104")
    yield "the contact leaves again", _members("app-a", "delete", "guest", unit=PARTNERS)
    yield "a member leaves its last group", _members("app-a", "delete", "u0")
    yield "the member returns", _members("app-a", "add", "u0")
    yield (
        "a member leaves one group and joins another at once",
        _members("app-a", "delete", "u7") + _members("team-x", "add", "u7"),
    )
    yield "a group is nested", _members("app-a", "add", group="team-x")
    yield "somebody joins the nested group", _members("team-x", "add", "u23")
    yield "somebody leaves the nested group", _members("team-x", "delete", "u20")
    yield "the nested group is renamed", _rename(_group_dn("team-x"), "CN=team-y")
    yield "somebody joins it under its new name", _members("team-y", "add", "u24")
    yield "two groups contain each other", _members("team-y", "add", group="app-a")
    yield "they no longer do", _members("team-y", "delete", group="app-a")
    yield "the nested group is taken out", _members("app-a", "delete", group="team-y")


def _groups_and_units() -> Iterator[tuple[str, str]]:
    yield "a group is added", _add(_group("app-c", "u25", "u26", "u27"))
    yield "a group is renamed", _rename(_group_dn("app-c"), "CN=app-d")
    yield "a group is renamed out of the scope", _rename(_group_dn("app-d"), "CN=club-d")
    yield "somebody joins it there", _members("club-d", "add", "u28")
    yield "the group is renamed back into it", _rename(_group_dn("club-d"), "CN=app-d")
    yield "a group moves out of the base", _rename(_group_dn("app-d"), "CN=app-d", ELSEWHERE)
    yield "somebody leaves it there", _members("app-d", "delete", "u28", at=ELSEWHERE)
    yield "the group moves back", _rename(f"CN=app-d,{ELSEWHERE}", "CN=app-d", GROUPS)
    yield "a person moves out of the base", _rename(_dn("u9"), "CN=u9", ELSEWHERE)
    yield "the person moves back", _rename(f"CN=u9,{ELSEWHERE}", "CN=u9", PEOPLE)
    yield "a person is deleted who is in two groups", _delete(_dn("u8"))
    yield "and somebody else gets the name", _add(_person("u8", mail="another@corp.test"))
    yield "a person is deleted and made again at once", _delete(_dn("u11")) + _add(_person("u11"))
    yield "and joins the group it was in", _members("app-b", "add", "u11")
    yield "a group is deleted", _delete(_group_dn("app-d"))
    yield "and made again with others", _add(_group("app-d", "u28", "u29"))
    yield (
        "two people swap their names",
        _rename(_dn("u12"), "CN=swap") + _rename(_dn("u13"), "CN=u12") + _rename(_dn("swap"), "CN=u13"),
    )
    yield "a unit is renamed", _rename(PEOPLE, "OU=Staff")
    yield "somebody below it joins a group", _members("app-a", "add", "u15", unit=f"OU=Staff,{COMPANY}")
    yield "a unit moves out of the base", _rename(f"OU=Staff,{COMPANY}", "OU=Staff", ELSEWHERE)
    yield "the unit moves back under its old name", _rename(f"OU=Staff,{ELSEWHERE}", "OU=People", COMPANY)
    yield "and the last change is a small one", _replace(_dn("u1"), "sn", "Example")


def crowd_changes() -> Iterator[Change]:
    """Changes to a group of many."""
    yield "one of many leaves a group", _members("app-crowd", "delete", "c7", unit=PARTNERS), ()
    yield "and one joins it", _members("app-crowd", "add", "u16"), ()
    fifty = "".join(_members("app-crowd", "delete", f"c{number}", unit=PARTNERS) for number in range(100, 150))
    yield "fifty leave it at once", fifty, ()
    yield "fifty members are deleted at once", "".join(_delete(_dn(f"c{n}", PARTNERS)) for n in range(50)), ()


def primary_group_changes(domain: SambaDomain) -> Iterator[tuple[str, str]]:
    """Somebody makes a group the primary one; the directory then stops listing the member in it."""
    token = Dump.of(domain).relative_identifier(_group_dn("app-primary"))
    yield "somebody joins a group", _members("app-primary", "add", "u17")
    yield "and has it as primary group", _replace(_dn("u17"), "primaryGroupID", token)
    yield "and has the usual one again", _replace(_dn("u17"), "primaryGroupID", "513")
    yield "and leaves it", _members("app-primary", "delete", "u17")


def undeletion(domain: SambaDomain) -> Iterator[Change]:
    """Somebody is deleted and restored; the memberships stay away."""
    yield "somebody joins a group", _members("app-b", "add", "u18"), ()
    guid = Dump.of(domain).guid(_dn("u18"))
    yield "and is deleted", _delete(_dn("u18")), ()
    record = (
        f"dn: CN=u18\\0ADEL:{guid},CN=Deleted Objects,{NAMING_CONTEXT}\nchangetype: modify\n"
        "delete: isDeleted\n-\nreplace: distinguishedName\n"
        f"distinguishedName: {_dn('u18')}\n-\n\n"
    )
    yield "and restored", record, (_SHOW_DELETED,)
    yield "and has an address again", _replace(_dn("u18"), "mail", "u18@corp.test"), ()


@dataclass(frozen=True)
class Dump:
    """People, contacts and groups below the company, by their DN in lower case."""

    entries: dict[str, dict[str, list[str]]]

    @classmethod
    def of(cls, domain: SambaDomain) -> Dump:
        shown = subprocess.run(
            ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", domain.url, "-D", ADMIN, "-w", ADMIN_PASSWORD,
             "-E", "pr=1000/noprompt", "-b", COMPANY, "(|(objectClass=user)(objectClass=contact)(objectClass=group))",
             "mail", "cn", "member", "objectClass", "userAccountControl", "primaryGroupID", "objectSid", "objectGUID"],
            check=True, capture_output=True,
            env=os.environ | {"LDAPTLS_CACERT": str(domain.certificates.authority)},
        ).stdout.decode()  # fmt: skip
        entries: dict[str, dict[str, list[str]]] = {}
        for block in filter(str.strip, shown.split("\n\n")):
            entry: dict[str, list[str]] = {}
            for line in block.splitlines():
                if line.startswith("#"):
                    continue
                key, _, value = line.partition(":")
                text = base64.b64decode(value[1:]).decode("latin-1") if value.startswith(":") else value.strip()
                entry.setdefault(key.lower(), []).append(text)
            if "dn" in entry:
                entries[entry.pop("dn")[0].lower()] = entry
        return cls(entries)

    def relative_identifier(self, dn: str) -> str:
        return str(int.from_bytes(self.entries[dn.lower()]["objectsid"][0].encode("latin-1")[-4:], "little"))

    def guid(self, dn: str) -> str:
        raw = self.entries[dn.lower()]["objectguid"][0].encode("latin-1")
        first = b"-".join(part[::-1].hex().encode() for part in (raw[:4], raw[4:6], raw[6:8]))
        return f"{first.decode()}-{raw[8:10].hex()}-{raw[10:].hex()}"

    def membership(self) -> dict[str, set[str]]:
        """Everybody in the groups app-…, nested groups opened, primary groups included."""
        return {
            entry["cn"][0]: self._people(dn, set())
            for dn, entry in self.entries.items()
            if "group" in entry["objectclass"] and entry["cn"][0].startswith("app-")
        }

    def active(self, members: set[str]) -> set[str]:
        """Those of them whose account is not disabled."""
        disabled = {
            entry["mail"][0]
            for entry in self.entries.values()
            if int(entry.get("useraccountcontrol", ["0"])[0]) & 2 and entry.get("mail")
        }
        return members - disabled

    def _people(self, dn: str, seen: set[str]) -> set[str]:
        seen.add(dn)
        identifier = self.relative_identifier(dn)
        listed = [member.lower() for member in self.entries[dn].get("member", ())]
        listed += [other for other, entry in self.entries.items() if entry.get("primarygroupid") == [identifier]]
        found: set[str] = set()
        for member in listed:
            entry = self.entries.get(member)
            if entry is None or member in seen:
                continue
            if "group" in entry["objectclass"]:
                found |= self._people(member, seen)
            else:
                found |= set(entry.get("mail", ()))
        return found


def _dn(name: str, unit: str = PEOPLE) -> str:
    return f"CN={name},{unit}"


def _group_dn(name: str) -> str:
    return f"CN={name},{GROUPS}"


def _person(name: str, *, mail: str = "", unit: str = PEOPLE) -> str:
    return (
        f"dn: {_dn(name, unit)}\nobjectClass: user\nsAMAccountName: {name}\ngivenName: {name.title()}\nsn: Example\n"
        f"displayName: {name.title()} Example\nmail: {mail or name + '@corp.test'}\n"
        f"userAccountControl: {_ENABLED | 0x20}\n\n"
    )


def _contact(name: str) -> str:
    return f"dn: {_dn(name, PARTNERS)}\nobjectClass: contact\nmail: {name}@partner.example\n\n"


def _group(name: str, *members: str, unit: str = PEOPLE) -> str:
    listed = "".join(f"member: {_dn(member, unit)}\n" for member in members)
    return f"dn: {_group_dn(name)}\nobjectClass: group\nsAMAccountName: {name}\n{listed}\n"


def _add(record: str) -> str:
    first, _, rest = record.partition("\n")
    return f"{first}\nchangetype: add\n{rest}"


def _delete(dn: str) -> str:
    return f"dn: {dn}\nchangetype: delete\n\n"


def _replace(dn: str, attribute: str, *values: str) -> str:
    lines = "".join(f"{attribute}: {value}\n" for value in values)
    return f"dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{lines}\n"


def _rename(dn: str, rdn: str, superior: str = "") -> str:
    moved = f"newsuperior: {superior}\n" if superior else ""
    return f"dn: {dn}\nchangetype: modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1\n{moved}\n"


def _members(
    name: str, how: str, member: str = "", *, unit: str = PEOPLE, group: str = "", sid: str = "", at: str = GROUPS
) -> str:
    value = _group_dn(group) if group else f"<SID={sid}>" if sid else _dn(member, unit)
    return f"dn: CN={name},{at}\nchangetype: modify\n{how}: member\nmember: {value}\n\n"
