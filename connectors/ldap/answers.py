"""Receiving the answer to one search message by message.

ldap3 collects a whole answer before it shows the first of it, in blocks of 4 KiB that it joins each time: a group of
200,000 members takes it many seconds. And a content synchronisation cannot be paged, so its answer may name every
entry of the directory, or never end: it has to be taken as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ldap3 import DEREF_NEVER
from ldap3.core.exceptions import LDAPSessionTerminatedByServerError
from ldap3.operation.search import search_operation
from ldap3.strategy.base import BaseStrategy
from ldap3.utils.asn1 import decode_message_fast

from connectors.ldap.search_result_entry import SearchResultEntry, read_entry

_BLOCK = 64 * 1024  # bytes asked of the socket at once
_UNSOLICITED = 0  # the message id of a notice of disconnection (RFC 4511, 4.4)


def send_search(
    connection: Any,  # noqa: ANN401 - ldap3 has no types
    *,
    base: str,
    search_filter: str,
    scope: str,
    attributes: Sequence[str],
    time_limit: int,
    controls: Sequence[object] = (),
) -> int:
    """Send a search and return its message id. Controls are (OID, criticality, value). Raises what ldap3 raises."""
    request = search_operation(
        base,
        search_filter,
        scope,
        DEREF_NEVER,
        list(attributes),
        size_limit=0,
        time_limit=time_limit,
        types_only=False,
        auto_escape=True,
        auto_encode=True,
    )
    return int(connection.strategy.send("searchRequest", request, list(controls)))


def receive(
    connection: Any,  # noqa: ANN401 - ldap3 has no types
    message_id: int,
    tick: float | None = None,
) -> Iterator[SearchResultEntry | dict[str, Any] | None]:
    """Yield the messages of one answer, all but the entries as ldap3's dictionaries; the searchResDone is the last.

    With `tick`, None is yielded whenever nothing has come for so many seconds, so that the caller can look for a
    wish to stop. Raises OSError, and what ldap3 raises for an answer it does not understand.
    """
    patience = connection.socket.gettimeout()
    connection.socket.settimeout(patience if tick is None else tick)
    try:
        for received in _messages(connection, ticks=tick is not None):
            if received is None:
                yield None
                continue
            entry = read_entry(received)
            if entry is not None:
                if entry.message_id == message_id:
                    yield entry
                continue
            message = decode_message_fast(received)
            try:
                understood: dict[str, Any] = connection.strategy.decode_response_fast(message)
            except KeyError as error:  # ldap3 knows no other result codes than the standard's
                raise ValueError(f"its answer ends with the unknown result {error}") from error
            if message["messageID"] == _UNSOLICITED:
                raise LDAPSessionTerminatedByServerError("the server announced that it closes the connection")
            if message["messageID"] != message_id:
                continue  # what is left of a search that was abandoned
            yield understood
            if understood["type"] == "searchResDone":
                return
    finally:
        if connection.socket is not None:
            connection.socket.settimeout(patience)


def _messages(connection: Any, *, ticks: bool) -> Iterator[bytes | None]:  # noqa: ANN401
    """Yield whatever messages come, whole; with `ticks`, None for each time that the socket's patience ends."""
    held = bytearray()
    while True:
        size = BaseStrategy.compute_ldap_message_size(held[:10])
        if 0 <= size <= len(held):
            yield bytes(held[:size])
            del held[:size]
            continue
        try:
            block = connection.socket.recv(_BLOCK)
        except TimeoutError:
            if not ticks:
                raise
            yield None
            continue
        if not block:
            raise LDAPSessionTerminatedByServerError("the server closed the connection")
        held += block
