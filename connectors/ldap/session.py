"""A session with one directory server: checked searches. Opening one is in opening.py.

ldap3 has silent defaults; the ones that matter are set here and there, each with its reason, and no other file
touches it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ldap3 import BASE, SUBTREE
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError
from ldap3.protocol.rfc2696 import paged_search_control
from pyasn1.error import PyAsn1Error

from connectors.errors import CheckpointRefused, ReadInterrupted
from connectors.ldap.answers import receive, send_search
from connectors.ldap.ber import Malformed
from connectors.ldap.content_synchronisation import (
    SYNC_DONE,
    SYNC_INFO,
    SYNC_REQUEST,
    SYNC_STATE,
    Mode,
    SyncDone,
    SyncInfo,
    SyncState,
    read_sync_done,
    read_sync_info,
    read_sync_state,
    sync_request,
)
from connectors.ldap.found import ContinuationReference, Found
from connectors.ldap.ranges import with_all_values
from connectors.ldap.search_result_entry import SearchResultEntry
from connectors.ldap.settings import DirectorySettings
from connectors.ldap.words import connection_lost, no_base, not_synchronised, search_ended

_PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
_SUCCESS = 0
_NO_SUCH_OBJECT = 32
_UNWILLING_TO_PERFORM = 53
_BUSY, _UNAVAILABLE, _UNAVAILABLE_CRITICAL_EXTENSION = 51, 52, 12
_EMPTY_PAGES = (
    100  # in a row: servers may send some while they search on, and one without an end would hold us for ever
)
# ldap3 takes answers apart without checking them first, so a malformed one shows as any of the later errors; a host
# name that no resolver takes is a ValueError.
LDAP3_RAISES = (
    LDAPException, OSError, PyAsn1Error, ValueError, LookupError, TypeError, AttributeError, ArithmeticError
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Synchronised:
    """An entry in the answer to a content synchronisation, and what the server says of it."""

    state: SyncState
    found: Found


SyncMessage = Synchronised | ContinuationReference | SyncInfo | SyncDone


class MissingBase(ReadInterrupted):
    """The base of a search does not exist, or the account may not know that it does."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a search brought, and its result with the cookie of the next page."""

    found: list[Found | ContinuationReference]
    result: Mapping[str, Any]
    paged: bool  # the server sent the control back
    cookie: bytes


class Session:
    """An authenticated connection to one server. Made by `connectors.ldap.opening.open_session`; close it.

    `always`: the controls that go with every search.
    """

    always: tuple[object, ...] = ()

    def __init__(self, url: str, connection: Any, settings: DirectorySettings) -> None:  # noqa: ANN401 - ldap3 has no types
        self.url = url
        self._connection = connection
        self._settings = settings

    def close(self) -> None:
        """Say goodbye, if anybody still listens."""
        abandon(self._connection)

    def search(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        page_size: int | None = None,
        also: Sequence[object] = (),
    ) -> Iterator[Found | ContinuationReference]:
        """Yield everything below `base`, page by page. `also`: further controls.

        Returning normally means: success on every page, and the server said there are no more. Anything else raises
        ReadInterrupted (MissingBase among it), after what did arrive; ldap3's own paging would just stop there.
        """
        cookie = b""
        seen = empty = 0
        size = page_size or self._settings.page_size
        while True:
            answer = self._ask(
                base,
                seen,
                search_filter,
                SUBTREE,
                attributes,
                # Critical: a server that cannot page has to say so instead of sending a first part.
                [paged_search_control(criticality=True, size=size, cookie=cookie), *also],
            )
            for found in answer.found:
                seen += isinstance(found, Found)
                yield with_all_values(found, self.look_up) if isinstance(found, Found) else found
            if answer.result["result"] == _NO_SUCH_OBJECT:
                raise MissingBase(no_base(self.url, self._settings, base))
            if answer.result["result"] != _SUCCESS:
                raise ReadInterrupted(search_ended(self.url, self._settings, base, seen, answer.result))
            if not answer.paged:
                # RFC 2696: a server that honoured the control answers with it. Without it nobody says this was all.
                raise ReadInterrupted(
                    f"source {self._settings.name}: {self.url} did not say whether more entries follow (no paged "
                    "results control in its answer). What was not read stays as it was."
                )
            cookie = answer.cookie
            if not cookie:
                return
            empty = 0 if answer.found else empty + 1
            if empty > _EMPTY_PAGES:
                raise ReadInterrupted(
                    f"source {self._settings.name}: {self.url} sent {empty} empty pages one after the other below "
                    f"{base} and says that more follow. See the directory server's log. What was not read stays as it "
                    "was."
                )

    def named(self, found: Found) -> Found:
        """Return what was found under the name that people know it by."""
        return found

    def exists(self, dn: str) -> bool:
        """Tell whether an entry can be read. Raises ReadInterrupted for anything but yes and no."""
        return self.look_up(dn, ["1.1"]) is not None

    def look_up(self, dn: str, attributes: Sequence[str]) -> Found | None:
        """Return one entry, or None when it cannot be read; the root DSE is the entry without a name.

        Raises ReadInterrupted for anything but yes and no.
        """
        answer = self._ask(dn, 0, "(objectClass=*)", BASE, attributes)
        if answer.result["result"] == _NO_SUCH_OBJECT:
            return None
        if answer.result["result"] != _SUCCESS:
            raise ReadInterrupted(search_ended(self.url, self._settings, dn, 0, answer.result))
        return next((found for found in answer.found if isinstance(found, Found)), None)

    def synchronise(
        self,
        base: str,
        search_filter: str,
        attributes: Sequence[str],
        cookie: bytes | None,
        *,
        mode: Mode = Mode.REFRESH_ONLY,
        base_only: bool = False,
        tick: float | None = None,
    ) -> Iterator[SyncMessage | None]:
        """Yield the messages of a content synchronisation (RFC 4533) as they come; a SyncDone is the last.

        With `tick`, None is yielded after so many seconds of silence. Raises CheckpointRefused when the server
        cannot go on from `cookie`, or not in a way that RFC 4533 allows, and ReadInterrupted when it cannot be asked.
        """
        seen, broken = 0, ""
        try:
            # Never together with paging: OpenLDAP then sends one page, success, and a cookie as if that were all.
            message_id = send_search(
                self._connection,
                base=base,
                search_filter=search_filter,
                scope=BASE if base_only else SUBTREE,
                attributes=attributes,
                time_limit=0,  # it takes as long as there are changes; silence is limited by receive_timeout
                controls=[(SYNC_REQUEST, True, sync_request(mode, cookie))],
            )
            for message in receive(self._connection, message_id, tick):
                if message is None:
                    yield None
                    continue
                try:
                    if isinstance(message, SearchResultEntry):
                        seen += 1
                    elif message["type"] == "searchResDone":
                        done = self._synchronised(base, seen, message, had_cookie=cookie is not None)
                        if not broken:
                            yield done
                        break
                    if not broken:
                        yield _sync_message(message)
                except Malformed as error:
                    # The rest of the answer still has to be taken off the connection.
                    broken = str(error)
        except LDAPInvalidFilterError as error:
            raise self._wrong_filter(search_filter) from error
        except LDAP3_RAISES as error:
            raise ReadInterrupted(connection_lost(self.url, self._settings, base, seen, error)) from error
        if broken:
            raise CheckpointRefused(f"{self.url} does not follow RFC 4533 below {base}: {broken}")

    def _synchronised(self, base: str, seen: int, message: Mapping[str, Any], *, had_cookie: bool) -> SyncDone:
        code = message["result"]
        if code == _NO_SUCH_OBJECT:
            raise MissingBase(no_base(self.url, self._settings, base))
        if code != _SUCCESS:
            if had_cookie and code not in {_BUSY, _UNAVAILABLE}:
                # It may be the cookie, or a limit that a full read in pages does not meet. OpenLDAP is unwilling when
                # the cookie knows of changes that it does not know itself.
                told = not_synchronised(self.url, base, seen, message)
                raise CheckpointRefused(told, behind=code == _UNWILLING_TO_PERFORM)
            if code == _UNAVAILABLE_CRITICAL_EXTENSION:
                raise ReadInterrupted(f"{self.url} offers no syncrepl below {base} (OpenLDAP: the overlay syncprov)")
            raise ReadInterrupted(search_ended(self.url, self._settings, base, seen, message))
        control = message.get("controls", {}).get(SYNC_DONE)
        if control is None:
            raise Malformed("its answer does not say how far it goes (no Sync Done control)")
        return read_sync_done(control["value"] or b"")

    def _ask(
        self,
        base: str,
        seen: int,
        search_filter: str,
        scope: str,
        attributes: Sequence[str],
        controls: Sequence[object] = (),
    ) -> _Answer:
        """Send one search and take its answer apart. Raises ReadInterrupted when there is none."""
        try:
            message_id = send_search(
                self._connection,
                base=base,
                search_filter=search_filter,
                scope=scope,
                attributes=attributes,
                time_limit=self._settings.time_limit,
                controls=[*controls, *self.always],
            )
            found: list[Found | ContinuationReference] = []
            result: Mapping[str, Any] = {}
            for message in receive(self._connection, message_id):
                if isinstance(message, SearchResultEntry):
                    found.append(self.named(message.found))
                elif message is not None:
                    result = message
                    if (reference := _reference(message)) is not None:
                        found.append(reference)
            control = result.get("controls", {}).get(_PAGED_RESULTS)
            return _Answer(
                found=found,
                result=result,
                paged=control is not None,
                cookie=bytes(control["value"]["cookie"] or b"") if control is not None else b"",
            )
        except LDAPInvalidFilterError as error:
            raise self._wrong_filter(search_filter) from error
        except LDAP3_RAISES as error:
            raise ReadInterrupted(connection_lost(self.url, self._settings, base, seen, error)) from error

    def _wrong_filter(self, search_filter: object) -> ReadInterrupted:
        return ReadInterrupted(
            f"source {self._settings.name}: {search_filter} is not a search filter. Correct user_filter or "
            "group_filter."
        )


def abandon(connection: Any) -> None:  # noqa: ANN401 - ldap3 has no types
    """End a connection, whatever state it is in."""
    # If the server has gone already, that is what was wanted.
    with contextlib.suppress(*LDAP3_RAISES):
        connection.unbind()
    if connection.socket is not None:
        connection.socket.close()  # ldap3 forgets the socket of a connection that failed half-way


def _reference(message: Mapping[str, Any]) -> ContinuationReference | None:
    if message["type"] == "searchResRef":
        return ContinuationReference(tuple(str(uri) for uri in message.get("uri", ())))
    return None


def _sync_message(message: SearchResultEntry | Mapping[str, Any]) -> SyncMessage:
    """Understand one message of a content synchronisation. Raises Malformed."""
    if isinstance(message, SearchResultEntry):
        state = message.controls.get(SYNC_STATE)
        if state is None:
            raise Malformed("an entry without Sync State")
        return Synchronised(read_sync_state(state), message.found)
    reference = _reference(message)
    if reference is not None:
        return reference
    kind = message["type"]
    if kind == "intermediateResponse" and message.get("responseName") == SYNC_INFO:
        return read_sync_info(message["responseValue"] or b"")
    raise Malformed(f"a {kind} without Sync State or Sync Info")
