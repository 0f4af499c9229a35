"""A SearchResultEntry on the wire (RFC 4511, 4.5.2), taken apart in one pass.

    LDAPMessage ::= SEQUENCE { messageID, [APPLICATION 4] SEQUENCE { objectName, attributes }, [0] controls OPTIONAL }

ldap3 takes it apart as well, three times: into a tree, into text, and into bytes. Nearly everything a directory sends
is such entries, so this pass decides how long a read takes. All other messages are left to ldap3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.ldap.ber import BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, SET, Malformed, head
from connectors.ldap.found import Found

_SEARCH_RESULT_ENTRY = 0x64
_CONTROLS = 0xA0


@dataclass(frozen=True, slots=True)
class SearchResultEntry:
    """One entry. `controls`: the value of each control by its OID, b"" for one without a value."""

    message_id: int
    found: Found
    controls: Mapping[str, bytes]


def read_entry(message: bytes) -> SearchResultEntry | None:
    """Take a whole LDAPMessage apart, or return None when it is not a SearchResultEntry. Raises Malformed."""
    tag, position, end = head(message, 0, len(message))
    _expect(tag, SEQUENCE)
    _expect_end(end, len(message))
    tag, begin, position = head(message, position, end)
    _expect(tag, INTEGER)
    tag, operation, operation_end = head(message, position, end)
    if tag != _SEARCH_RESULT_ENTRY:
        return None
    return SearchResultEntry(
        int.from_bytes(message[begin:position], "big"),
        _found(message, operation, operation_end),
        _controls(message, operation_end, end) if operation_end < end else {},
    )


def _found(message: bytes, position: int, end: int) -> Found:
    tag, begin, position = head(message, position, end)
    _expect(tag, OCTET_STRING)
    # LDAPDN is UTF-8. The mark that "replace" leaves for what is not is looked for by who understands the entry.
    dn = message[begin:position].decode("utf-8", "replace")
    tag, position, around = head(message, position, end)
    _expect(tag, SEQUENCE)
    _expect_end(around, end)
    attributes: dict[str, list[bytes]] = {}
    while position < end:
        tag, begin, position = head(message, position, end)
        _expect(tag, SEQUENCE)
        tag, begin, values = head(message, begin, position)
        _expect(tag, OCTET_STRING)
        name = message[begin:values].decode("ascii", "replace").lower()
        tag, values, values_end = head(message, values, position)
        _expect(tag, SET)
        _expect_end(values_end, position)
        held = attributes.setdefault(name, [])
        while values < values_end:
            tag, begin, values = head(message, values, values_end)
            _expect(tag, OCTET_STRING)
            held.append(message[begin:values])
    return Found(dn, attributes)


def _controls(message: bytes, position: int, end: int) -> dict[str, bytes]:
    tag, position, around = head(message, position, end)
    _expect(tag, _CONTROLS)
    _expect_end(around, end)
    controls = {}
    while position < end:
        tag, begin, position = head(message, position, end)
        _expect(tag, SEQUENCE)
        tag, begin, part = head(message, begin, position)
        _expect(tag, OCTET_STRING)
        oid, value = message[begin:part].decode("ascii", "replace"), b""
        while part < position:
            tag, begin, part = head(message, part, position)
            if tag == OCTET_STRING:
                value = message[begin:part]
            else:
                _expect(tag, BOOLEAN)
        controls[oid] = value
    return controls


def _expect(tag: int, expected: int) -> None:
    if tag != expected:
        raise Malformed(f"an element {tag:#x} where {expected:#x} was expected")


def _expect_end(end: int, around: int) -> None:
    # What follows would be lost without a word: values of a member list, perhaps.
    if end != around:
        raise Malformed("an element that does not end where the one around it does")
