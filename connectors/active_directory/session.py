"""A session with a domain controller: names in extended form, and the searches that only Active Directory has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ldap3 import SUBTREE

from connectors.active_directory.extended_name import read_name
from connectors.errors import CheckpointRefused, ReadInterrupted
from connectors.ldap.answers import receive, send_search
from connectors.ldap.ber import INTEGER, OCTET_STRING, SEQUENCE, element
from connectors.ldap.found import Found
from connectors.ldap.search_result_entry import SearchResultEntry
from connectors.ldap.session import LDAP3_RAISES, Session
from connectors.ldap.words import connection_lost, not_synchronised, search_ended

_DIRSYNC = "1.2.840.113556.1.4.841"
_EXTENDED_DN = "1.2.840.113556.1.4.529"
_DOMAIN_SCOPE = "1.2.840.113556.1.4.1339"  # no references to the forest's other naming contexts
# Deleted entries, and those of which hardly more than the objectGUID is left (MS-ADTS 3.1.1.3.4.1.26).
SHOW_RECYCLED = ("1.2.840.113556.1.4.2064", True, None)
_SUCCESS, _INSUFFICIENT_ACCESS_RIGHTS, _BUSY, _UNAVAILABLE = 0, 50, 51, 52
OBJECT_SECURITY = 0x00000001
_INCREMENTAL_VALUES = -0x80000000  # bit 31 of a signed integer (MS-ADTS 3.1.1.3.4.1.3)
_SIZE = 4

# Names in text form (flag 1), with GUID and SID.
_EXTENDED = (_EXTENDED_DN, True, element(SEQUENCE, element(INTEGER, b"\x01")))
_WITHIN = (_DOMAIN_SCOPE, False, None)


class NoRight(ReadInterrupted):
    """The account lacks the right to replicate directory changes."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a DirSync answer. `more`: ask again with this cookie before anything is concluded."""

    found: tuple[Found, ...]
    cookie: bytes
    more: bool


class ActiveDirectorySession(Session):
    """Members and entries come with their GUID and SID in every search."""

    always: tuple[object, ...] = (_EXTENDED, _WITHIN)

    def named(self, found: Found) -> Found:
        """Take the GUID and SID off the name; they come as attributes, too."""
        return replace(found, dn=read_name(found.dn).dn)

    def synchronise_part(
        self, context: str, search_filter: str, attributes: Sequence[str], cookie: bytes, flags: int
    ) -> Part:
        """Ask for what changed in a naming context since the cookie (MS-ADTS 3.1.1.3.4.1.3, LDAP_SERVER_DIRSYNC).

        Of a changed entry come the objectGUID and the attributes that changed; of a changed member list the values
        that were added (`member;range=1-1`) and removed (`member;range=0-0`). Raises CheckpointRefused when the
        server cannot go on from the cookie, NoRight, and ReadInterrupted when it cannot be asked.
        """
        value = _integer(flags | _INCREMENTAL_VALUES) + _integer(0) + element(OCTET_STRING, cookie)
        found: list[Found] = []
        try:
            message_id = send_search(
                self._connection,
                base=context,
                search_filter=search_filter,
                scope=SUBTREE,
                attributes=attributes,
                time_limit=self._settings.time_limit,
                controls=[(_DIRSYNC, True, element(SEQUENCE, value)), _EXTENDED],
            )
            for message in receive(self._connection, message_id):
                if isinstance(message, SearchResultEntry):
                    found.append(self.named(message.found))
                elif message is not None and message["type"] == "searchResDone":
                    result = message
        except LDAP3_RAISES as error:
            raise ReadInterrupted(connection_lost(self.url, self._settings, context, len(found), error)) from error
        code = result["result"]
        if code == _INSUFFICIENT_ACCESS_RIGHTS and not cookie:
            raise NoRight(f"the account may not replicate directory changes of {context}")
        if code in {_BUSY, _UNAVAILABLE}:
            raise ReadInterrupted(search_ended(self.url, self._settings, context, len(found), result))
        if code != _SUCCESS:
            raise CheckpointRefused(not_synchronised(self.url, context, len(found), result))
        control = result.get("controls", {}).get(_DIRSYNC)
        # Without a cookie the next request would begin anew, and deletions would be missed. ldap3 checks no types.
        if control is None or not control["value"]["cookie"] or not isinstance(control["value"]["cookie"], bytes):
            raise CheckpointRefused(f"{self.url} did not say how far its answer for {context} goes")
        return Part(tuple(found), control["value"]["cookie"], more=bool(control["value"]["more_results"]))


def _integer(value: int) -> bytes:
    return element(INTEGER, value.to_bytes(_SIZE, "big", signed=True))
