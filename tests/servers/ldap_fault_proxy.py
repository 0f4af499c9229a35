"""A man in the middle between the agent and a real slapd, who spoils the answers.

It passes LDAP messages (RFC 4511, BER) on as they are and changes what it is told to: the result code of the n-th
search, or one text in the entries for another as long, or it cuts the connection after so many entries, or it lets
the end of a search never arrive.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

_UNBIND, _SEARCH_ENTRY, _SEARCH_DONE = 0x42, 0x64, 0x65


class LdapFaultProxy:
    """Use as a context manager. Plain LDAP on loopback: the agent needs starttls = false.

    counting:  searches, and their entries, count only when their request holds this text
    """

    def __init__(self, port: int, counting: bytes = b"", *, address: str = "127.0.0.1") -> None:
        self._server = (address, port)
        self._counting = counting
        self._counted: set[bytes] = set()  # message ids
        self.result_code: int | None = None  # given to the search number `at_search`, counted from 1
        self.at_search = 1
        self.requests = 0  # of all connections, but for the goodbye, which nobody answers
        self.answers: list[bytes] = []  # what was passed on to the agent, for a test to look at
        self.swallow_search: int | None = None  # the search whose end never arrives, counted from 1
        self.cut_after_entries: int | None = None
        self.swap: tuple[bytes, bytes] | None = None  # of equal length, so that every BER length stays right
        self._searches = 0
        self._entries = 0

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping = True
        socket.create_connection(self._listener.getsockname()).close()
        self._accepting.join()
        self._listener.close()
        for open_socket in self._sockets:
            _close(open_socket)
        for thread in self._threads:
            thread.join()

    def cut_everything(self) -> None:
        """Cut every connection there is now; new ones are served."""
        for open_socket in self._sockets:
            _close(open_socket)
        self._sockets.clear()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._stopping:
                client.close()
                return
            server = socket.create_connection(self._server)
            self._sockets += [client, server]
            self._searches = self._entries = 0
            self._counted = set()
            for work, source, sink in ((self._forward, client, server), (self._spoil, server, client)):
                thread = threading.Thread(target=work, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        held = b""
        try:
            while data := source.recv(65536):
                held += data
                while message := _first_message(held):
                    held = held[len(message) :]
                    self.requests += message[_end_of(message, _content_at(message, 0))] != _UNBIND
                    if self._counting in message:
                        self._counted.add(_message_id(message))
                    sink.sendall(message)
        except OSError:
            pass  # one of the ends has gone, and so does the other now
        _close(source)
        _close(sink)

    def _spoil(self, source: socket.socket, sink: socket.socket) -> None:
        held = b""
        try:
            while data := source.recv(65536):
                held += data
                while message := _first_message(held):
                    held = held[len(message) :]
                    changed = self._changed(message)
                    if changed is None:
                        _close(sink)
                        _close(source)
                        return
                    self.answers.append(changed)
                    sink.sendall(changed)
        except OSError:
            pass
        _close(source)
        _close(sink)

    def _changed(self, message: bytes) -> bytes | None:
        position = _content_at(message, 0)
        position = _end_of(message, position)  # the message id
        kind = message[position]
        if _message_id(message) not in self._counted:
            return message
        if kind == _SEARCH_ENTRY:
            self._entries += 1
            if self.cut_after_entries is not None and self._entries > self.cut_after_entries:
                return None
            if self.swap is not None:
                was, becomes = self.swap
                assert len(was) == len(becomes)
                return message.replace(was, becomes)
        if kind == _SEARCH_DONE:
            self._searches += 1
            if self._searches == self.swallow_search:
                return b""
            if self.result_code is not None and self._searches == self.at_search:
                # SearchResultDone begins with the resultCode: ENUMERATED, one byte of length, one of value. Controls
                # come after it, and a server in trouble sends none.
                code = _content_at(message, position) + 2
                start = _content_at(message, 0)
                kept = message[start:code] + bytes([self.result_code]) + message[code + 1 : _end_of(message, position)]
                return b"\x30\x82" + len(kept).to_bytes(2, "big") + kept
        return message


def _first_message(data: bytes) -> bytes:
    if len(data) < 2 or (data[1] & 0x80 and len(data) < 2 + (data[1] & 0x7F)):
        return b""
    end = _end_of(data, 0)
    return data[:end] if len(data) >= end else b""


def _message_id(message: bytes) -> bytes:
    start = _content_at(message, 0)
    return message[start : _end_of(message, start)]


def _content_at(data: bytes, position: int) -> int:
    first = data[position + 1]
    return position + 2 + (first & 0x7F if first & 0x80 else 0)


def _end_of(data: bytes, position: int) -> int:
    first = data[position + 1]
    start = _content_at(data, position)
    length = int.from_bytes(data[position + 2 : start], "big") if first & 0x80 else first
    return start + length


def _close(open_socket: socket.socket) -> None:
    with contextlib.suppress(OSError):
        open_socket.shutdown(socket.SHUT_RDWR)
    open_socket.close()
