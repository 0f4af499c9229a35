"""A small web server that only answers GET and HEAD. Nobody who asks it can hold up anything but an answer.

Each conversation has a thread of its own and a few seconds; of too many at once, the last ones are hung up on. Only the
head of a request is read, and not a long one.
"""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Self
from urllib.parse import urlsplit

import structlog

from agent.operating_system import share_no_port

log = structlog.get_logger()

_MOST = 8  # conversations at once
_LONGEST = 10.0  # seconds for each
_HEAD = 8192  # bytes
_ENDS_OF_HEAD = (b"\r\n\r\n", b"\n\n")
_LOOK = 0.2  # seconds between two looks for conversations that take too long
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered."""

    status: HTTPStatus
    content_type: str
    body: bytes


# From the path, and whether JSON is asked for, to the answer; None: there is nothing of that name.
Answering = Callable[[str, bool], Answer | None]


class Endpoint:
    """Listens at an address until it is closed. Raises OSError when it cannot."""

    def __init__(self, address: tuple[str, int], answer: Answering) -> None:
        self._server = _Server(address, answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK,), name="health", daemon=True)

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop listening. Who is being answered is not waited for."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * _MOST

    def __init__(self, address: tuple[str, int], answer: Answering) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.answer = answer
        self._lock = threading.Lock()
        self._until: dict[socket.socket, float] = {}
        super().__init__(address, _Conversation)

    def server_bind(self) -> None:
        share_no_port(self.socket)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        with self._lock:
            many = len(self._until) >= _MOST
            if not many:
                self._until[request] = time.monotonic() + _LONGEST
        if many:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the library has it
        with self._lock:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Hang up on whoever takes too long: the thread that waits for it comes back with an error."""
        with self._lock:
            for request, until in self._until.items():
                if time.monotonic() > until:
                    with contextlib.suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        del request, client_address
        log.debug("a conversation with somebody who asked how it goes ended early", reason=repr(sys.exception()))


class _Conversation(BaseHTTPRequestHandler):
    server: _Server
    timeout = _LONGEST
    server_version, sys_version = "Rollcall", ""
    error_content_type = _TEXT
    error_message_format = "%(code)d %(message)s\n"

    def handle(self) -> None:
        self.close_connection = True
        head = self._head()
        if head:
            self.rfile = io.BufferedReader(io.BytesIO(head))
            self.handle_one_request()

    def _head(self) -> bytes:
        """Return the head of a request; nothing, if none came or it is too long."""
        head = b""
        while not any(end in head for end in _ENDS_OF_HEAD):
            received = self.connection.recv(_HEAD)
            head += received
            if not received or len(head) > _HEAD:
                return b""
        return head

    def do_GET(self) -> None:
        answer = self.server.answer(urlsplit(self.path).path, "json" in self.headers.get("Accept", ""))
        if answer is None:
            answer = Answer(HTTPStatus.NOT_FOUND, _TEXT, b"There are /healthz, /readyz and /metrics.\n")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Who asks is of no interest."""
