"""A domain controller of Windows whose answers a test writes: it plays what Samba does not do.

It answers honestly, and a script may take the place of any answer, as with tests.servers.scripted_ldap. It has

* names in extended form (MS-ADTS 3.1.1.3.4.1.5),
* member lists in ranges (3.1.1.3.1.3.3) and pages, in the sizes of a Windows Server's LDAP policies,
* DirSync (3.1.1.3.4.1.3) from a log of the changes that a test makes, in as many parts as it wants.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tests.servers.ber import element, elements, integer, text
from tests.servers.scripted_ldap import (
    PAGED_RESULTS,
    Attributes,
    Controls,
    Message,
    ScriptedLdap,
    Search,
    answers_to,
    done,
    found,
)

DIRSYNC, EXTENDED_DN = "1.2.840.113556.1.4.841", "1.2.840.113556.1.4.529"
SHOW_DELETED, SHOW_RECYCLED = "1.2.840.113556.1.4.417", "1.2.840.113556.1.4.2064"
DOMAIN = "DC=corp,DC=test"
PEOPLE, GROUPS, ELSEWHERE = (f"OU={name},{DOMAIN}" for name in ("People", "Groups", "Elsewhere"))
DELETED_OBJECTS = f"CN=Deleted Objects,{DOMAIN}"
ADDED, REMOVED = "member;range=1-1", "member;range=0-0"
_CONFIGURATION = f"CN=Configuration,{DOMAIN}"
_SERVICE = f"CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,{_CONFIGURATION}"
_NAMES = {"member", "memberof", "dsservicename", "namingcontexts", "defaultnamingcontext"}
_VECTOR = "repluptodatevector"
_SIZE_LIMIT_EXCEEDED = 4


@dataclass(frozen=True)
class Change:
    """One line of the log: of this entry, these attributes."""

    usn: int
    dn: str
    attributes: Attributes


class ScriptedActiveDirectory(ScriptedLdap):
    """Use as a context manager. People in PEOPLE, who are the members of app-all in GROUPS.

    values_at_once:     of a member list (MaxValRange)
    page_limit:         entries in one page or one answer (MaxPageSize)
    changes_at_once:    in one part of a DirSync answer
    unseen:             names of entries that the account has no right to see
    elsewhere:          entries of other domains of the forest, of which this one knows the names
    """

    def __init__(self, people: int = 30, *, values_at_once: int = 1500, page_limit: int = 1000) -> None:
        super().__init__(0, vendor={})
        self.values_at_once, self.page_limit = values_at_once, page_limit
        self.changes_at_once = 1000
        self.log: list[Change] = []
        self.unseen: set[str] = set()
        self.elsewhere: dict[str, dict[str, Sequence[bytes]]] = {}
        # The container of the deleted objects is marked like what it holds.
        self.tombstones: dict[str, dict[str, Sequence[bytes]]] = {
            DELETED_OBJECTS: {"objectclass": [b"top", b"container"], "isdeleted": [b"TRUE"], **_identity("deleted")}
        }
        self.root |= {
            "supportedcontrol": [oid.encode() for oid in (PAGED_RESULTS, DIRSYNC, EXTENDED_DN, SHOW_RECYCLED)],
            "namingcontexts": [DOMAIN.encode(), _CONFIGURATION.encode()],
            "defaultnamingcontext": [DOMAIN.encode()],
            "dsservicename": [_SERVICE.encode()],
            "supportedldappolicies": [b"MaxPageSize", b"MaxValRange"],
        }
        invocation = uuid.uuid4().bytes
        self.entries = {
            DOMAIN: {
                "objectclass": [b"top", b"domain", b"domainDNS"],
                "objectcategory": [b"domainDNS"],
                **_identity(DOMAIN),
            },
            _SERVICE: {
                "objectclass": [b"top", b"nTDSDSA"],
                "invocationid": [invocation],
                **_identity(_SERVICE),
            },
            **{dn: unit(dn) for dn in (PEOPLE, GROUPS, ELSEWHERE)},
        }
        names = [f"u{number}" for number in range(people)]
        for name in names:
            self.entries[person_dn(name)] = person(name)
        self.entries[group_dn("app-all")] = group("app-all", *map(person_dn, names))
        for dn, held in self.entries.items():
            self._log(dn, held)
        self.add(person_dn("gone"), person("gone"))
        self.delete(person_dn("gone"))

    @property
    def usn(self) -> int:
        return len(self.log)

    def settings(self, **changes: object) -> dict[str, object]:
        """A [[sources]] table for the `active-directory` connector."""
        return super().settings(**{"connector": "active-directory", "base_dn": [PEOPLE, GROUPS]} | changes)

    # --- changes, each with what a domain controller logs of it ---------------------------------------------------

    def add(self, dn: str, held: dict[str, Sequence[bytes]]) -> None:
        self.entries[dn] = held
        self._log(dn, held)

    def modify(self, dn: str, **attributes: Sequence[bytes]) -> None:
        self.entries[dn] |= attributes
        self._log(dn, attributes)

    def move(self, dn: str, to: str) -> None:
        self.entries[to] = self.entries.pop(dn)
        for held in self.entries.values():
            if dn.encode() in held.get("member", ()):
                held["member"] = [to.encode() if value == dn.encode() else value for value in held["member"]]
        self._log(to, {"name": self.entries[to]["name"]})

    def join(self, group: str, *members: str) -> None:
        held = self.entries[group]
        held["member"] = [*held["member"], *(member.encode() for member in members)]
        self._log(group, {ADDED: [self._named(member.encode()) for member in members]})

    def leave(self, group: str, *members: str) -> None:
        held, left = self.entries[group], {member.encode() for member in members}
        held["member"] = [value for value in held["member"] if value not in left]
        self._log(group, {REMOVED: [self._named(value) for value in sorted(left)]})

    def delete(self, dn: str) -> str:
        """Return the name of the tombstone. Nothing is logged of the groups that held it."""
        guid = uuid.UUID(bytes_le=bytes(self.entries[dn]["objectguid"][0]))
        first, _, _ = dn.partition(",")
        tombstone = f"{first}\\0ADEL:{guid},{DELETED_OBJECTS}"
        gone = self.entries.pop(dn)
        self.tombstones[tombstone] = {
            key: gone[key] for key in ("objectclass", "objectguid", "objectsid", "samaccountname") if key in gone
        } | {"isdeleted": [b"TRUE"], "lastknownparent": [dn.partition(",")[2].encode()]}
        for held in self.entries.values():
            if dn.encode() in held.get("member", ()):
                held["member"] = [value for value in held["member"] if value != dn.encode()]
        self._log(tombstone, {"isdeleted": [b"TRUE"], "name": [tombstone.partition(",")[0][3:].encode()]})
        return tombstone

    def undelete(self, dn: str, held: dict[str, Sequence[bytes]]) -> None:
        """An attribute that was removed, isDeleted here, is logged without values."""
        tombstone = next(name for name, gone in self.tombstones.items() if gone["objectguid"] == held["objectguid"])
        del self.tombstones[tombstone]
        self.entries[dn] = {**held, "lastknownparent": [dn.partition(",")[2].encode()]}
        self._log(dn, {key: values for key, values in held.items() if key != "objectsid"} | {"isdeleted": []})

    def become_another(self, received: int | None = None) -> bytes:
        """Another controller answers from now on, which has received that much of the former one's changes.

        Returns the former one's invocationId, to become it again.
        """
        former = bytes(self.entries[_SERVICE]["invocationid"][0])
        self.become(uuid.uuid4().bytes)
        self.entries[DOMAIN].pop(_VECTOR, None)
        if received is not None:
            cursor = former + received.to_bytes(8, "little") + bytes(8)
            header = [number.to_bytes(4, "little") for number in (2, 0, 1, 0)]
            self.entries[DOMAIN][_VECTOR] = [b"".join(header) + cursor]
        return former

    def become(self, invocation: bytes) -> None:
        """The controller with this invocationId answers from now on."""
        self.entries[_SERVICE]["invocationid"] = [invocation]

    def _log(self, dn: str, attributes: Attributes) -> None:
        self.log.append(Change(self.usn + 1, dn, dict(attributes)))
        self.root["highestcommittedusn"] = [str(self.usn).encode()]
        (self.entries.get(dn) or self.tombstones[dn])["usnchanged"] = [str(self.usn).encode()]

    # --- answers --------------------------------------------------------------------------------------------------

    def honest(self, search: Search) -> list[Message]:
        """The answer of a domain controller without fault."""
        if DIRSYNC in search.controls:
            return self._synchronised(search)
        if not search.base:
            clock = {"currenttime": [f"{datetime.now(UTC):%Y%m%d%H%M%S}.0Z".encode()]}
            return [found("", self._some(self.root | clock, search)), done()]
        if PAGED_RESULTS in search.controls:
            limited = replace(search, controls={**search.controls, PAGED_RESULTS: self._limited(search)})
            return super().honest(limited)
        answer = super().honest(search)
        if len(answer) > self.page_limit + 1:
            return [*answer[: self.page_limit], done(_SIZE_LIMIT_EXCEEDED)]
        return answer

    def shown(self, search: Search) -> Mapping[str, Attributes]:
        deleted = self.tombstones if {SHOW_DELETED, SHOW_RECYCLED} & search.controls.keys() else {}
        return {dn: held for dn, held in {**self.entries, **deleted}.items() if dn not in self.unseen}

    def _limited(self, search: Search) -> bytes:
        size = min(search.page_size or self.page_limit, self.page_limit)
        return element(0x30, integer(size), text(str(search.page).encode() if search.page else b""))

    def _entry(self, search: Search, dn: str, controls: Controls = ()) -> Message:
        return found(self._name(search, dn), self._some(self.shown(search)[dn], search), controls)

    def _synchronised(self, search: Search) -> list[Message]:
        """What the log holds after the cookie; to a first question, every entry as it is, tombstones included."""
        since = dirsync_cookie(search)
        everything = [Change(self.usn, dn, held) for dn, held in {**self.entries, **self.tombstones}.items()]
        log = self.log[int(since) :] if since else everything
        part = log[: self.changes_at_once] if since else log
        reached = part[-1].usn if part else self.usn
        answer = [self.reported(search, change) for change in part if self._concerns(search, change)]
        return [*answer, dirsync_done(str(reached).encode(), more=len(part) < len(log))]

    def _concerns(self, search: Search, change: Change) -> bool:
        held = self.entries.get(change.dn) or self.tombstones.get(change.dn) or {}
        return change.dn not in self.unseen and answers_to(search.filter, held)

    def reported(self, search: Search, change: Change) -> Message:
        """A change as an entry of a DirSync answer; the objectGUID always comes with it."""
        held = self.entries.get(change.dn) or self.tombstones.get(change.dn) or {}
        guid = {"objectguid": held["objectguid"]} if held else {}
        attributes = dict(change.attributes)
        if "member" in attributes:
            attributes[ADDED] = [self._named(value) for value in attributes.pop("member")]
        wanted = {name: values for name, values in attributes.items() if name.partition(";")[0] in search.attributes}
        return found(self._name(search, change.dn), {**wanted, **guid})

    def _name(self, search: Search, dn: str) -> bytes:
        return self._named(dn.encode()) if EXTENDED_DN in search.controls else dn.encode()

    def _named(self, value: bytes) -> bytes:
        """A name in extended form, as far as its entry is known."""
        dn = value.decode("utf-8", "replace")
        held = self.entries.get(dn) or self.tombstones.get(dn) or self.elsewhere.get(dn)
        return extended(dn, held) if held is not None else value

    def _some(self, held: Attributes, search: Search) -> dict[str, Sequence[bytes]]:
        """The attributes that are asked for, one with too many values in the range that is."""
        answer: dict[str, Sequence[bytes]] = {}
        for wanted in search.attributes:
            name, _, limits = wanted.partition(";range=")
            values = held.get(name, ())
            start, _, end = limits.partition("-")
            first = int(start or 0)
            last = min(int(end) if end.isdigit() else len(values) - 1, first + self.values_at_once - 1)
            some = list(values)[first : last + 1]
            if name in _NAMES and EXTENDED_DN in search.controls:
                some = [self._named(value) for value in some]
            if limits or len(values) > self.values_at_once:
                closing = "*" if last >= len(values) - 1 else str(last)
                name = f"{name};range={first}-{closing}"
            if some:
                answer[name] = some
        return answer


def person_dn(name: str, unit: str = PEOPLE) -> str:
    return f"CN={name},{unit}"


def group_dn(name: str) -> str:
    return f"CN={name},{GROUPS}"


def person(name: str, **attributes: Sequence[bytes]) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"top", b"person", b"organizationalPerson", b"user"],
        "objectcategory": [b"person"],
        **_identity(name),
        **_account(name),
        "name": [name.encode()],
        "samaccountname": [name.encode()],
        "useraccountcontrol": [b"512"],
        "primarygroupid": [b"513"],
        "mail": [f"{name}@example.com".encode()],
        "sn": [b"Example"],
        **attributes,
    }


def contact(name: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"top", b"person", b"organizationalPerson", b"contact"],
        "objectcategory": [b"person"],
        **_identity(name),
        "name": [name.encode()],
        "mail": [f"{name}@partner.example".encode()],
    }


def foreign_principal_dn(sid: str) -> str:
    return f"CN={sid},CN=ForeignSecurityPrincipals,{DOMAIN}"


def foreign_principal(sid: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"top", b"foreignSecurityPrincipal"],
        "objectcategory": [b"foreignSecurityPrincipal"],
        **_identity(sid),
        "name": [sid.encode()],
    }


def group(name: str, *members: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"top", b"group"],
        "objectcategory": [b"group"],
        **_identity("group " + name),
        **_account("group " + name),
        "name": [name.encode()],
        "cn": [name.encode()],
        "samaccountname": [name.encode()],
        "member": [member.encode() for member in members],
    }


def unit(dn: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"top", b"organizationalUnit"],
        "objectcategory": [b"organizationalUnit"],
        **_identity(dn),
        "name": [dn.partition(",")[0][3:].encode()],
    }


def guid_of(key: str) -> uuid.UUID:
    return uuid.UUID(bytes=uuid.uuid5(uuid.NAMESPACE_X500, key).bytes, version=4)


def sid_of(name: str) -> str:
    """The objectSid of a person, as text."""
    return _sid_text(_account(name)["objectsid"][0])


def extended(dn: str, held: Mapping[str, Sequence[bytes]]) -> bytes:
    sid = held.get("objectsid")
    parts = [f"<GUID={uuid.UUID(bytes_le=bytes(held['objectguid'][0]))}>"]
    if sid:
        parts.append(f"<SID={_sid_text(sid[0])}>")
    return ";".join([*parts, dn]).encode()


def dirsync_cookie(search: Search) -> bytes:
    """What a DirSync request goes on from; empty for a first one."""
    (_, content), *_ = elements(search.controls[DIRSYNC])
    return elements(content)[2][1]


def dirsync_end(cookie: bytes, *, more: bool = False) -> Controls:
    return ((DIRSYNC, element(0x30, integer(int(more)), integer(0), text(cookie))),)


def dirsync_done(cookie: bytes, *, more: bool = False) -> Message:
    return done(controls=dirsync_end(cookie, more=more))


def _sid_text(sid: bytes) -> str:
    return f"S-1-5-21-1-2-3-{int.from_bytes(bytes(sid)[-4:], 'little')}"


def _identity(key: str) -> dict[str, Sequence[bytes]]:
    return {"objectguid": [guid_of(key).bytes_le]}


def _account(key: str) -> dict[str, Sequence[bytes]]:
    # S-1-5-21-1-2-3-…, the last part made of the name
    parts = (21, 1, 2, 3, guid_of(key).int % 2**31 + 1000)
    authority = bytes([1, len(parts)]) + (5).to_bytes(6, "big")
    return {"objectsid": [authority + b"".join(part.to_bytes(4, "little") for part in parts)]}
