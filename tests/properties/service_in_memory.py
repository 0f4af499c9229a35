"""The tests' SCIM service without a network, which breaks off at a chosen request."""

from __future__ import annotations

import json
import threading

import httpx

from tests.servers.scim_service import Request, ScimService


class Broken(BaseException):
    """The process ends here: nothing that comes after this request happens."""


class InMemory(httpx.BaseTransport):
    """Carries requests to a ScimService directly.

    break_at:  ends the process at the request with this number, from 1; after it was carried out with `after`
    refuse_at: answers that request with this status instead
    """

    def __init__(self, service: ScimService) -> None:
        self.service = service
        self.number = 0
        self.break_at: int | None = None
        self.after = False
        self.refuse_at: dict[int, int] = {}
        self.over = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """A new process begins to count."""
        self.number, self.over = 0, False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        with self._lock:
            self.number += 1
            number = self.number
            if self.over:
                raise Broken
            if number == self.break_at:
                self.over = True
                if not self.after:
                    raise Broken
        asked = Request(request.method, request.url.raw_path.decode(), json.loads(content) if content else None)
        if number in self.refuse_at:
            status = self.refuse_at[number]
            return httpx.Response(status, json={"detail": "refused for the test", "status": str(status)})
        self.service.requests.append(asked)
        status, body = self.service.carry_out(asked)
        if number == self.break_at:
            raise Broken
        return httpx.Response(status, json=body) if body is not None else httpx.Response(status)
