"""From what a directory sends to an Entry: object classes, anchors, account state, and the three kinds of group.

Shared by the connectors whose entries follow the LDAP schemas (RFC 4519, RFC 2798, RFC 2307).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from connectors.base import (
    Entry,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    MemberList,
    Name,
    NameKind,
    SourceSettings,
    Wanted,
)
from connectors.distinguished_name import DistinguishedNameError, normalise

RawAttributes = Mapping[str, Sequence[bytes]]  # lower-case attribute type → values as sent

_MEMBER_DNS = ("member", "uniquemember")
_MEMBER_UIDS = "memberuid"
MEMBER_ATTRIBUTES = (*_MEMBER_DNS, _MEMBER_UIDS)
_NOT_UTF8 = "\N{REPLACEMENT CHARACTER}"
_UUID_BYTES = 16
_ALWAYS = frozenset({"cn", "displayname"})
# RFC 4517, 3.3.21 Name and Optional UID: a DN, then perhaps # and a bit string.
_OPTIONAL_UID = re.compile(r"#'[01]*'B$")


class EntrySettings(SourceSettings):
    """How entries of a source are understood. Names are compared without case."""

    anchor: str = "entryUUID"
    user_classes: tuple[str, ...] = (
        "person",
        "organizationalPerson",
        "inetOrgPerson",
        "account",
        "posixAccount",
    )
    group_classes: tuple[str, ...] = ("groupOfNames", "groupOfUniqueNames", "posixGroup", "group")
    contact_classes: tuple[str, ...] = ("contact",)
    inactive_when: tuple[str, ...] = Field(default=("nsAccountLock=true", "pwdAccountLockedTime=000001010000Z"))

    @property
    def reads(self) -> tuple[str, ...]:
        """Entries of no such class are nobody."""
        classes = (("people", self.user_classes), ("groups", self.group_classes), ("contacts", self.contact_classes))
        return (*super().reads, *(f"{kind} of the classes {', '.join(names)}" for kind, names in classes if names))

    @field_validator("inactive_when")
    @classmethod
    def _conditions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for condition in value:
            attribute, equals, wanted = condition.partition("=")
            if not (attribute.strip() and equals and wanted.strip()):
                raise ValueError(f'"{condition}" is not a condition; write it like "employeeStatus=left"')
        return value


@dataclass(frozen=True, slots=True)
class EntryReader:
    """Understands the entries of one source."""

    anchor: str
    users: frozenset[str]
    groups: frozenset[str]
    contacts: frozenset[str]
    inactive: frozenset[tuple[str, str]]
    kept: frozenset[str]

    @property
    def needed(self) -> frozenset[str]:
        """Every attribute type to ask the source for.

        Members in every search: a user_filter like (mail=*) finds groups too, and a group that comes without its
        members looks like one that has lost them all.
        """
        inactive = {attribute for attribute, _ in self.inactive}
        return self.kept | inactive | {self.anchor, "objectclass", "uid", *MEMBER_ATTRIBUTES}

    def understand(self, dn: str, attributes: RawAttributes) -> EntryFound | EntryUnreadable | None:
        """Return the entry, the reason why it cannot be understood, or None for what is neither user nor group."""
        classes = {value.decode("ascii", "replace").lower() for value in attributes.get("objectclass", ())}
        anchor = read_anchor(attributes.get(self.anchor, ()))
        if not classes:
            # Every entry has one (RFC 4512, 2.4.1), so a right is missing; to leave the entry out would say it is gone.
            return EntryUnreadable(
                dn, "its objectClass cannot be read. Give the account the right to read that attribute.", anchor
            )
        kind = self._kind(classes)
        if kind is None:
            return None
        if anchor is None:
            return EntryUnreadable(
                dn,
                f"it has no {self.anchor}, which tells it from others for ever. Let the account read "
                "that attribute, or "
                "name another that never changes as anchor.",
            )
        if _NOT_UTF8 in dn:
            return EntryUnreadable(dn, "its name is not valid UTF-8. Correct the entry in the directory.", anchor)
        try:
            own = Name(NameKind.DN, normalise(dn))
            kept = {
                key: tuple(_text(key, value) for value in attributes[key] if value)
                for key in sorted(self.kept)
                if attributes.get(key)
            }
            uids = {
                Name(NameKind.UID, _text("uid", value).casefold())
                for value in attributes.get("uid", ())
                if kind is EntryKind.USER
            }
        except (ValueError, DistinguishedNameError) as error:
            return EntryUnreadable(dn, f"{error}. Correct the entry in the directory.", anchor)
        return EntryFound(
            Entry(
                anchor=anchor,
                kind=kind,
                dn=dn,
                names=frozenset({own, *uids}),
                attributes=kept,
                active=not self._inactive(attributes),
                members=_members(attributes) if kind is EntryKind.GROUP else None,
            )
        )

    def unknown(self, dn: str, attributes: RawAttributes) -> EntryUnreadable:
        """Tell of an entry that was asked for and is neither user nor group: it may be one that lost its classes."""
        return EntryUnreadable(
            dn,
            "the filter finds it, but it has no object class that makes it a user, group or contact. Let the account "
            "read objectClass, name its class in user_classes or group_classes, or narrow the filter.",
            read_anchor(attributes.get(self.anchor, ())),
        )

    def _kind(self, classes: set[str]) -> EntryKind | None:
        if classes & self.groups:
            return EntryKind.GROUP
        if classes & self.contacts:
            return EntryKind.CONTACT
        return EntryKind.USER if classes & self.users else None

    def _inactive(self, attributes: RawAttributes) -> bool:
        return any(
            value.decode("utf-8", "replace").strip().lower() == wanted
            for attribute, wanted in self.inactive
            for value in attributes.get(attribute, ())
        )


def reader_of(settings: EntrySettings, wanted: Wanted) -> EntryReader:
    """Make the reader that these settings ask for."""

    def lowered(names: tuple[str, ...]) -> frozenset[str]:
        return frozenset(name.lower() for name in names)

    conditions = (condition.partition("=") for condition in settings.inactive_when)
    return EntryReader(
        anchor=settings.anchor.lower(),
        users=lowered(settings.user_classes),
        groups=lowered(settings.group_classes),
        contacts=lowered(settings.contact_classes),
        inactive=frozenset((name.strip().lower(), value.strip().lower()) for name, _, value in conditions),
        kept=wanted.attributes | _ALWAYS,
    )


def cut_lists(attributes: RawAttributes) -> tuple[str, ...]:
    """Return the member attributes of which the server sent a part only, like `member;range=0-1499`."""
    return tuple(key for key in attributes if key.partition(";")[0] in MEMBER_ATTRIBUTES and _is_cut(key))


def _is_cut(key: str) -> bool:
    return any(option.startswith("range=") and option != "range=0-*" for option in key.split(";")[1:])


def read_anchor(values: Sequence[bytes]) -> str | None:
    """Return the anchor in its one spelling, or None when there is not exactly one value."""
    if len(values) != 1 or not values[0]:
        return None
    raw = values[0]
    try:
        return raw.decode("ascii").strip().lower() or None
    except UnicodeDecodeError:
        # A binary anchor (Active Directory's objectGUID): any one-to-one text will do, a UUID is what people know.
        return str(uuid.UUID(bytes_le=raw)) if len(raw) == _UUID_BYTES else raw.hex()


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"its attribute {key} is not valid UTF-8") from None


def _members(attributes: RawAttributes) -> MemberList:
    """Read the member attributes. A value that is no name is a member we do not know: the list is not complete."""
    names: set[Name] = set()
    complete = True
    for key, values in attributes.items():
        base = key.partition(";")[0]
        if base in _MEMBER_DNS:
            complete = complete and not _is_cut(key)
            for value in values:
                try:
                    text = _OPTIONAL_UID.sub("", value.decode("utf-8")) if base == "uniquemember" else value.decode()
                    if text.strip():  # groupOfNames must have a member; the empty name is the usual stopgap
                        names.add(Name(NameKind.DN, normalise(text)))
                except (UnicodeDecodeError, DistinguishedNameError):
                    complete = False
        elif base == _MEMBER_UIDS:
            complete = complete and not _is_cut(key)
            for value in filter(None, values):
                try:
                    names.add(Name(NameKind.UID, value.decode("utf-8").casefold()))
                except UnicodeDecodeError:
                    complete = False
    return MemberList(frozenset(names), complete=complete)
