"""The demo's SCIM service: scim2-server on loopback, over real HTTP, in a thread of this process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from agent.errors import UsageProblem

try:
    from scim2_models import ScimProvider
    from scim2_server.memory import InMemoryStorage
    from scim2_server.service import ScimService
    from scim2_server.testserver.application import BearerTokenApplication
    from scim2_server.utils import (
        load_default_resource_types,
        load_default_schemas,
        load_default_service_provider_config,
    )
except ImportError as error:
    raise UsageProblem(
        "The demo needs the package scim2-server, which is not installed. "
        "Install it beside Rollcall (pip install scim2-server), or run make demo in the source."
    ) from error

Environment = dict[str, Any]
Application = Callable[[Environment, Any], Iterable[bytes]]


class DemoService:
    """Use as a context manager. `calls` lists every request as it came in: method and path."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.calls: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        provider = ScimProvider.from_discovery(
            list(load_default_schemas().values()),
            list(load_default_resource_types().values()),
            config=load_default_service_provider_config(),
        )
        self._storage = InMemoryStorage()
        application = BearerTokenApplication(
            self._storage,
            provider,
            service=ScimService(provider, secret=secrets.token_urlsafe(24)),
            bearer_tokens=[self.token],
        )
        self._server = make_server(
            "127.0.0.1", 0, self._counted(application), server_class=_ThreadingServer, handler_class=_SilentHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _counted(self, application: Application) -> Application:
        def counted(environment: Environment, start_response: Any) -> Iterable[bytes]:  # noqa: ANN401 - WSGI's callable
            self.calls.append((environment["REQUEST_METHOD"], environment["PATH_INFO"]))
            return application(environment, start_response)

        return counted


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """The demo tells the calls itself."""
