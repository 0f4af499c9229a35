"""From what Active Directory sends to an Entry."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.active_directory.extended_name import read_name, sibling, sid_text
from connectors.active_directory.settings import State
from connectors.base import Entry, EntryFound, EntryKind, EntryUnreadable, MemberList, Name, NameKind, Wanted
from connectors.distinguished_name import DistinguishedNameError, domain_of, normalise
from connectors.entries import RawAttributes

GUID = "objectguid"
MEMBER = "member"
_CONTROL, _COMPUTED = "useraccountcontrol", "msds-user-account-control-computed"
_EXPIRES, _LOCKED_AT = "accountexpires", "lockouttime"
SID = "objectsid"
_PRIMARY_GROUP = "primarygroupid"
_PROXIES, PRIMARY_ADDRESS = "proxyaddresses", "primaryproxyaddress"
_GUID_BYTES = 16
_ACCOUNT_DISABLED, _LOCKED_OUT = 0x0002, 0x0010  # ADS_USER_FLAG (MS-ADTS 2.2.16)
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_PARTS = re.compile(r"(?:,DC=[^,]*)+\Z", re.IGNORECASE)
_ALWAYS = frozenset({"cn", "displayname", "samaccountname"})
PRINCIPALS = {b"group": EntryKind.GROUP, b"contact": EntryKind.CONTACT, b"user": EntryKind.USER}
_STATES: Mapping[State, frozenset[str]] = {
    "disabled": frozenset({_CONTROL}),
    "locked": frozenset({_COMPUTED, _LOCKED_AT}),
    "expired": frozenset({_EXPIRES}),
    "contact": frozenset(),
}
# Every account has these (MS-SAMR 3.1.1.8.10); a lock leaves no trace when there was none.
_NEVER_ABSENT: Mapping[State, str] = {"disabled": "userAccountControl", "expired": "accountExpires"}


class MembersInSight(Protocol):
    """Asked of a group that shows no member. Each raises ReadInterrupted."""

    def sees_members(self) -> bool:
        """Tell whether the account can see members of any group."""

    def hides_members(self, group_dn: str, anchor: str) -> bool:
        """Tell whether this group has members all the same."""


@dataclass(frozen=True, slots=True)
class ActiveDirectoryReader:
    """Understands the entries of a domain.

    kept:      the attribute types that the mapping uses, lower case
    inactive:  the states of an account that make its owner inactive
    sight:     asked whether a group that shows no member can be believed
    lists:     groups come with their members; without, the lists known stay
    """

    kept: frozenset[str]
    inactive: frozenset[State]
    sight: MembersInSight
    lists: bool = True

    @property
    def needed(self) -> frozenset[str]:
        """Every attribute type to ask the source for."""
        states = frozenset().union(*(_STATES[state] for state in self.inactive))
        kept = (self.kept - {PRIMARY_ADDRESS}) | ({_PROXIES} if PRIMARY_ADDRESS in self.kept else frozenset())
        lists = {MEMBER} if self.lists else set()
        return kept | states | lists | {GUID, "objectclass", SID, _PRIMARY_GROUP}

    def understand(self, dn: str, attributes: RawAttributes) -> EntryFound | EntryUnreadable | None:
        """Return the entry, the reason why it cannot be understood, or None for what is neither user nor group."""
        anchor = read_guid(attributes.get(GUID, ()))
        classes = {value.lower() for value in attributes.get("objectclass", ())}
        if anchor is None or not classes:
            missing = "objectClass" if anchor else "objectGUID"
            return EntryUnreadable(dn, f"its {missing} cannot be read. Give the account the right to.", anchor)
        kind = next((kind for name, kind in PRINCIPALS.items() if name in classes), None)
        if kind is None:
            return None
        if missing := self._missing(kind, dn, anchor, attributes):
            return EntryUnreadable(dn, f"its {missing} cannot be read. Give the account the right to.", anchor)
        try:
            sid = sid_text(attributes[SID][0]) if attributes.get(SID) else ""
            return EntryFound(
                Entry(
                    anchor=anchor,
                    kind=kind,
                    dn=dn,
                    names=_names(dn, anchor, sid, attributes),
                    attributes=self._kept(attributes),
                    active=kind is EntryKind.GROUP
                    or not any(_in_state(state, kind, attributes) for state in self.inactive),
                    members=self._members(dn, sid, attributes) if kind is EntryKind.GROUP and self.lists else None,
                )
            )
        except (ValueError, DistinguishedNameError) as error:
            return EntryUnreadable(dn, f"{error}. Correct the entry in the directory.", anchor)

    def unknown(self, dn: str, attributes: RawAttributes) -> EntryUnreadable:
        """Tell of an entry that was asked for and is neither user nor group."""
        return EntryUnreadable(
            dn,
            "the filter finds it, but it is neither a user, nor a group, nor a contact. Narrow the filter.",
            read_guid(attributes.get(GUID, ())),
        )

    def _missing(self, kind: EntryKind, dn: str, anchor: str, attributes: RawAttributes) -> str:
        """Name what the entry has and does not show; empty when all is there.

        Without it the account would pass for enabled, or the group would seem to have lost its members.
        """
        needed: list[str] = []
        if kind is not EntryKind.CONTACT:
            needed.append("objectSid")
        if kind is EntryKind.USER:
            needed.append("primaryGroupID")
            needed += [_NEVER_ABSENT[state] for state in sorted(self.inactive) if state in _NEVER_ABSENT]
        missing = next((name for name in needed if not attributes.get(name.lower())), "")
        if not missing and kind is EntryKind.GROUP and self.lists and not _lists(attributes):
            return MEMBER if self.sight.sees_members() and self.sight.hides_members(dn, anchor) else ""
        return missing

    def _members(self, dn: str, sid: str, attributes: RawAttributes) -> MemberList:
        """Read the member list. A value that cannot be read leaves it incomplete, and so does not seeing any."""
        names: set[Name] = {Name(NameKind.PRIMARY_GROUP, sid)}
        domain = domain_of(normalise(dn))
        lists = _lists(attributes)
        complete = set(lists) <= {MEMBER} and (bool(lists) or self.sight.sees_members())
        for value in (value for values in lists.values() for value in values):
            try:
                names |= member_names(value, domain)
            except (ValueError, DistinguishedNameError):
                complete = False
        return MemberList(frozenset(names), complete=complete)

    def _kept(self, attributes: RawAttributes) -> dict[str, tuple[str, ...]]:
        kept = {}
        for key in sorted(self.kept):
            values = _primary(attributes) if key == PRIMARY_ADDRESS else attributes.get(key, ())
            if values:
                kept[key] = tuple(_text(key, value) for value in values)
        return kept


def reader_of(inactive: Sequence[State], wanted: Wanted, sight: MembersInSight) -> ActiveDirectoryReader:
    """Make the reader that the settings ask for."""
    return ActiveDirectoryReader(wanted.attributes | _ALWAYS, frozenset(inactive), sight)


def read_guid(values: Sequence[bytes]) -> str | None:
    """Return an objectGUID as text, or None for what is none."""
    return str(uuid.UUID(bytes_le=values[0])) if len(values) == 1 and len(values[0]) == _GUID_BYTES else None


def file_time(moment: datetime) -> int:
    """Return a moment as a FILETIME (MS-DTYP 2.3.3): tenths of a microsecond since 1601."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def member_names(value: bytes, domain: str) -> set[Name]:
    """Return how the member list of a group in `domain` names a member. Raises ValueError.

    A foreign security principal stands for somebody in another domain or forest, known there by the SID. Everybody
    else is known by the GUID, which outlasts renames and moves; of a member in another domain of the forest the DN is
    kept beside it, which tells in which.
    """
    named = read_name(value.decode("utf-8"))
    if named.foreign_sid:
        return {Name(NameKind.SID, named.foreign_sid)}
    if not named.guid:
        return {Name(NameKind.DN, normalise(named.dn))}
    names = {Name(NameKind.GUID, named.guid)}
    # A list may be long, and nearly all of it lies in the group's own domain: the names are compared as they are first.
    suffix = _LAST_PARTS.search(named.dn)
    if suffix is not None and suffix[0].lower().replace(",dc=", ".").removeprefix(".") != domain:
        dn = normalise(named.dn)
        if domain_of(dn) != domain:
            names.add(Name(NameKind.FOREIGN_DN, f"{named.guid} {dn}"))
    return names


def _lists(attributes: RawAttributes) -> dict[str, Sequence[bytes]]:
    """Return the member list, which may come in ranges."""
    return {key: values for key, values in attributes.items() if key.partition(";")[0] == MEMBER}


def _names(dn: str, anchor: str, sid: str, attributes: RawAttributes) -> frozenset[Name]:
    names = {Name(NameKind.DN, normalise(dn)), Name(NameKind.GUID, anchor)}
    if sid:
        names.add(Name(NameKind.SID, sid))
        for value in attributes.get(_PRIMARY_GROUP, ()):
            # Membership of the primary group stands with the user alone: the group does not list it.
            names.add(Name(NameKind.PRIMARY_GROUP, sibling(sid, value.decode("ascii"))))
    return frozenset(names)


def _in_state(state: State, kind: EntryKind, attributes: RawAttributes) -> bool:
    match state:
        case "contact":
            return kind is EntryKind.CONTACT
        case "disabled":
            return bool(_number(_CONTROL, attributes) & _ACCOUNT_DISABLED)
        case "locked":
            if attributes.get(_COMPUTED):
                return bool(_number(_COMPUTED, attributes) & _LOCKED_OUT)
            return _number(_LOCKED_AT, attributes) != 0
        case "expired":
            # 0 and the largest number mean never.
            return 0 < _number(_EXPIRES, attributes) <= file_time(datetime.now(UTC))


def _number(key: str, attributes: RawAttributes) -> int:
    values = attributes.get(key, ())
    return int(values[0]) if values else 0


def _primary(attributes: RawAttributes) -> list[bytes]:
    """The primary of several mail addresses is the one whose prefix is written in capitals."""
    return [value[5:] for value in attributes.get(_PROXIES, ()) if value.startswith(b"SMTP:")]


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"its attribute {key} is not valid UTF-8") from None
