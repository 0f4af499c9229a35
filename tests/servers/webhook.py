"""A web service that takes notices, over real HTTP or HTTPS, and can be made to misbehave."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.servers.certificates import certificates


class WebhookService:
    """Use as a context manager. The path of its address is a secret, as with the usual chat services."""

    secret = "T0P-Morgana-77c1"

    def __init__(self, *, tls: bool = False) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self._tls = tls

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_port}/services/{self.secret}?key={self.secret}"

    def __enter__(self) -> Self:
        service = self

        class Handler(_Handler):
            webhook = service

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_what: None  # type: ignore[method-assign]
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made = certificates()
            context.load_cert_chain(made.certificate, made.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def causes(self) -> list[tuple[str, str]]:
        return [(document["event"], document["cause"]) for document in self.received]


class _Handler(BaseHTTPRequestHandler):
    webhook: WebhookService

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.webhook.delay)
        self.webhook.paths.append(self.path)
        if self.webhook.status == 200:
            assert self.headers["Content-Type"] == "application/json; charset=utf-8"
            self.webhook.received.append(json.loads(content))
        self.send_response(self.webhook.status)
        for name, value in self.webhook.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Notices are kept, not printed."""
