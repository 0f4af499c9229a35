"""The LDAP Content Synchronization Operation (RFC 4533) on the wire: its controls and messages, in BER.

    SearchRequest + Sync Request control (mode, cookie)
        SearchResultEntry + Sync State control (state, entryUUID, cookie)     a changed entry, or one that is there
        IntermediateResponse: Sync Info                                       phases, new cookies, sets of UUIDs
        SearchResultDone + Sync Done control (cookie, refreshDeletes)

What the messages mean differs from server to server; that is told in connectors/ldap/syncrepl.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

SYNC_REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
SYNC_STATE = "1.3.6.1.4.1.4203.1.9.1.2"
SYNC_DONE = "1.3.6.1.4.1.4203.1.9.1.3"
SYNC_INFO = "1.3.6.1.4.1.4203.1.9.1.4"
REFRESH_REQUIRED = 4096  # e-syncRefreshRequired: the server cannot go on from this cookie

_BOOLEAN, _OCTET_STRING, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x04, 0x0A, 0x30, 0x31
_NEW_COOKIE, _REFRESH_DELETE, _REFRESH_PRESENT, _ID_SET = 0x80, 0xA1, 0xA2, 0xA3
_LONG_FORM = 0x80
_UUID_BYTES = 16


class Mode(IntEnum):
    """Whether the search ends when everything was told, or goes on with every change."""

    REFRESH_ONLY = 1
    REFRESH_AND_PERSIST = 3


class State(IntEnum):
    """What a Sync State control says of its entry."""

    PRESENT = 0
    ADD = 1
    MODIFY = 2
    DELETE = 3


class Malformed(ValueError):
    """A message is not what RFC 4533 says it is."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """Of one entry. `uuid` is 16 bytes: OpenLDAP's entryUUID, 389 Directory Server's nsUniqueId."""

    state: State
    uuid: bytes


@dataclass(frozen=True, slots=True)
class IdSet:
    """Entries that are there unchanged, or that are gone (`deleted`)."""

    uuids: tuple[bytes, ...]
    deleted: bool


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """A phase of the refresh is over. `deletes`: it was the delete phase; `refreshed`: nothing more of it follows."""

    deletes: bool
    refreshed: bool


@dataclass(frozen=True, slots=True)
class NewCookie:
    """The server's progress, and nothing else."""


@dataclass(frozen=True, slots=True)
class SyncDone:
    """The end. `cookie` is None when the server sent none: OpenLDAP does so when nothing changed."""

    cookie: bytes | None
    refresh_deletes: bool


SyncInfo = NewCookie | PhaseEnded | IdSet


def sync_request(mode: Mode, cookie: bytes | None) -> bytes:
    """Return the value of the Sync Request control (RFC 4533, 2.2). No reload hint: an error says more."""
    content = _element(_ENUMERATED, bytes([mode]))
    if cookie is not None:
        content += _element(_OCTET_STRING, cookie)
    return _element(_SEQUENCE, content)


def read_sync_state(value: bytes) -> SyncState:
    """Take a Sync State control apart (RFC 4533, 2.3). Raises Malformed."""
    parts = list(_elements(_only(value, _SEQUENCE)))
    if len(parts) < 2 or parts[0][0] != _ENUMERATED or parts[1][0] != _OCTET_STRING:  # noqa: PLR2004 - state and UUID
        raise Malformed("a Sync State control without state and UUID")
    try:
        state = State(int.from_bytes(parts[0][1], "big"))
    except ValueError:
        raise Malformed("a Sync State control with an unknown state") from None
    return SyncState(state, _uuid(parts[1][1]))


def read_sync_done(value: bytes) -> SyncDone:
    """Take a Sync Done control apart (RFC 4533, 2.4). Raises Malformed."""
    cookie, deletes = None, False
    for tag, content in _elements(_only(value, _SEQUENCE)):
        if tag == _OCTET_STRING:
            cookie = content
        elif tag == _BOOLEAN:
            deletes = content != b"\x00"
    return SyncDone(cookie, deletes)


def read_sync_info(value: bytes) -> SyncInfo:
    """Take a Sync Info message apart (RFC 4533, 2.5). Raises Malformed."""
    tag, content = _first(value)
    if tag == _NEW_COOKIE:
        return NewCookie()
    if tag in {_REFRESH_DELETE, _REFRESH_PRESENT}:
        done = True  # refreshDone DEFAULT TRUE
        for inner, part in _elements(content):
            if inner == _BOOLEAN:
                done = part != b"\x00"
        return PhaseEnded(deletes=tag == _REFRESH_DELETE, refreshed=done)
    if tag == _ID_SET:
        deleted = False  # refreshDeletes DEFAULT FALSE
        uuids: tuple[bytes, ...] | None = None
        for inner, part in _elements(content):
            if inner == _BOOLEAN:
                deleted = part != b"\x00"
            elif inner == _SET:
                uuids = tuple(_uuid(item) for _, item in _elements(part))
        if uuids is None:
            raise Malformed("a set of UUIDs without the set")
        return IdSet(uuids, deleted)
    raise Malformed(f"a Sync Info message of the unknown kind {tag:#x}")


def _uuid(content: bytes) -> bytes:
    if len(content) != _UUID_BYTES:
        raise Malformed(f"a UUID of {len(content)} bytes")
    return content


def _element(tag: int, content: bytes) -> bytes:
    if len(content) < _LONG_FORM:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM | len(length)]) + length + content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of the BER elements in `data` (X.690, definite lengths)."""
    position = 0
    while position < len(data):
        header = data[position : position + 2]
        if len(header) < 2:  # noqa: PLR2004 - one byte of tag, one of length
            raise Malformed("an element without a length")
        tag, length = header
        position += 2
        if length & _LONG_FORM:
            digits = data[position : position + (length & ~_LONG_FORM)]
            position += length & ~_LONG_FORM
            length = int.from_bytes(digits, "big")
        content = data[position : position + length]
        if len(content) < length:
            raise Malformed("an element that is cut short")
        yield tag, content
        position += length


def _first(data: bytes) -> tuple[int, bytes]:
    for tag, content in _elements(data):
        return tag, content
    raise Malformed("an empty message")


def _only(data: bytes, expected: int) -> bytes:
    tag, content = _first(data)
    if tag != expected:
        raise Malformed(f"an element {tag:#x} where {expected:#x} was expected")
    return content
