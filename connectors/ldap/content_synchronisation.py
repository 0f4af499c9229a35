"""The LDAP Content Synchronization Operation (RFC 4533) on the wire: its controls and messages, in BER.

    SearchRequest + Sync Request control (mode, cookie)
        SearchResultEntry + Sync State control (state, entryUUID, cookie)     a changed entry, or one that is there
        IntermediateResponse: Sync Info                                       phases, new cookies, sets of UUIDs
        SearchResultDone + Sync Done control (cookie, refreshDeletes)

What the messages mean differs from server to server; that is told in connectors/ldap/syncrepl.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from connectors.ldap.ber import (
    BOOLEAN,
    ENUMERATED,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Malformed,
    element,
    elements,
    only,
    single,
)

SYNC_REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
SYNC_STATE = "1.3.6.1.4.1.4203.1.9.1.2"
SYNC_DONE = "1.3.6.1.4.1.4203.1.9.1.3"
SYNC_INFO = "1.3.6.1.4.1.4203.1.9.1.4"
REFRESH_REQUIRED = 4096  # e-syncRefreshRequired: the server cannot go on from this cookie

_NEW_COOKIE, _REFRESH_DELETE, _REFRESH_PRESENT, _ID_SET = 0x80, 0xA1, 0xA2, 0xA3
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
    content = element(ENUMERATED, bytes([mode]))
    if cookie is not None:
        content += element(OCTET_STRING, cookie)
    return element(SEQUENCE, content)


def read_sync_state(value: bytes) -> SyncState:
    """Take a Sync State control apart (RFC 4533, 2.3). Raises Malformed."""
    parts = list(elements(only(value, SEQUENCE)))
    if len(parts) < 2 or parts[0][0] != ENUMERATED or parts[1][0] != OCTET_STRING:  # noqa: PLR2004 - state and UUID
        raise Malformed("a Sync State control without state and UUID")
    try:
        state = State(int.from_bytes(parts[0][1], "big"))
    except ValueError:
        raise Malformed("a Sync State control with an unknown state") from None
    return SyncState(state, _uuid(parts[1][1]))


def read_sync_done(value: bytes) -> SyncDone:
    """Take a Sync Done control apart (RFC 4533, 2.4). Raises Malformed."""
    cookie, deletes = None, False
    for tag, content in elements(only(value, SEQUENCE)):
        if tag == OCTET_STRING:
            cookie = content
        elif tag == BOOLEAN:
            deletes = content != b"\x00"
    return SyncDone(cookie, deletes)


def read_sync_info(value: bytes) -> SyncInfo:
    """Take a Sync Info message apart (RFC 4533, 2.5). Raises Malformed."""
    tag, content = single(value)
    if tag == _NEW_COOKIE:
        return NewCookie()
    if tag in {_REFRESH_DELETE, _REFRESH_PRESENT}:
        done = True  # refreshDone DEFAULT TRUE
        for inner, part in elements(content):
            if inner == BOOLEAN:
                done = part != b"\x00"
        return PhaseEnded(deletes=tag == _REFRESH_DELETE, refreshed=done)
    if tag == _ID_SET:
        deleted = False  # refreshDeletes DEFAULT FALSE
        uuids: tuple[bytes, ...] | None = None
        for inner, part in elements(content):
            if inner == BOOLEAN:
                deleted = part != b"\x00"
            elif inner == SET:
                uuids = tuple(_uuid(item) for _, item in elements(part))
        if uuids is None:
            raise Malformed("a set of UUIDs without the set")
        return IdSet(uuids, deleted)
    raise Malformed(f"a Sync Info message of the unknown kind {tag:#x}")


def _uuid(content: bytes) -> bytes:
    if len(content) != _UUID_BYTES:
        raise Malformed(f"a UUID of {len(content)} bytes")
    return content
