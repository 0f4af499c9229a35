"""A small, fast SCIM service for the tests, over real HTTP, which can be made to misbehave.

It behaves like the RFC where nothing else is asked of it: userName is unique without case, group names are not, a
PATCH is carried out whole or not at all, adding a member twice changes nothing.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.scim2_server import memberships

_FILTER = re.compile(r'(\w+) eq "((?:[^"\\]|\\.)*)"')
_MEMBER = re.compile(r'members\[value eq "((?:[^"\\]|\\.)*)"\]')


@dataclass
class Request:
    method: str
    path: str
    body: Any
    at: float = field(default_factory=time.monotonic)


@dataclass
class Fault:
    """What to do with requests that match, `times` times: answer, or drop before or after carrying them out."""

    matches: Callable[[Request], bool]
    times: int = 1
    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drop: str = ""  # "before" or "after"
    delay: float = 0.0


class ScimService:
    """Use as a context manager."""

    token = "scim-Tok3n-Merlin-55512"

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.ignores_member_additions = False
        self.ignores_filters = False
        self.unlisted: set[str] = set()  # ids that no listing shows
        self.unknown_member = 400  # the answer to an addition of somebody who is not there; 200: it is ignored
        self.ahead: timedelta | None = timedelta(0)  # of its clock; None: it tells no time
        self.refuses: Callable[[dict[str, Any]], str | None] = lambda _user: None
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/scim/v2"

    def __enter__(self) -> Self:
        service = self

        class Handler(_Handler):
            scim = service

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def writes(self) -> list[tuple[str, str]]:
        return [(request.method, request.path) for request in self.requests if request.method != "GET"]

    def membership(self) -> dict[str, set[str]]:
        names = {scim_id: user["userName"] for scim_id, user in self.users.items()}
        return memberships(list(self.groups.values()), names)

    def active(self) -> set[str]:
        return {user["userName"] for user in self.users.values() if user.get("active")}

    def add_user(self, **attributes: Any) -> str:
        return str(self._create(self.users, attributes)[1]["id"])

    def add_group(self, **attributes: Any) -> str:
        return str(self._create(self.groups, attributes)[1]["id"])

    def fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and fault.matches(request):
                    fault.times -= 1
                    return fault
        return None

    def carry_out(self, request: Request) -> tuple[int, Any]:
        parts = urlsplit(request.path)
        names = [unquote(part) for part in parts.path.removeprefix("/scim/v2").strip("/").split("/")]
        with self._lock:
            if names == ["ServiceProviderConfig"]:
                return 200, {"patch": {"supported": True}}
            store = {"Users": self.users, "Groups": self.groups}.get(names[0])
            if store is None:
                return 404, _error(404, "no such endpoint")
            if len(names) == 1:
                if request.method == "POST":
                    return self._create(store, request.body)
                return self._list(store, parse_qs(parts.query))
            return self._one(store, names[1], request)

    def _create(self, store: dict[str, dict[str, Any]], body: dict[str, Any]) -> tuple[int, Any]:
        if store is self.users:
            if reason := self.refuses(body):
                return 400, _error(400, reason, "invalidValue")
            if self._taken(body["userName"], ""):
                return 409, _error(409, f"userName {body['userName']} is taken", "uniqueness")
        made = {**body, "id": uuid.uuid4().hex}
        store[made["id"]] = made
        return 201, made

    def _taken(self, user_name: str, but: str) -> bool:
        return any(u["userName"].lower() == user_name.lower() and u["id"] != but for u in self.users.values())

    def _list(self, store: dict[str, dict[str, Any]], query: dict[str, list[str]]) -> tuple[int, Any]:
        found = [item for item in store.values() if item["id"] not in self.unlisted]
        match = _FILTER.fullmatch(query.get("filter", [""])[0])
        if match and not self.ignores_filters:
            value = json.loads(f'"{match[2]}"')
            fold = str.lower if match[1] in {"userName", "displayName"} else str
            found = [item for item in found if fold(str(item.get(match[1]))) == fold(value)]
        start, count = int(query.get("startIndex", ["1"])[0]), int(query.get("count", ["100"])[0])
        return 200, {"totalResults": len(found), "Resources": found[start - 1 : start - 1 + count]}

    def _one(self, store: dict[str, dict[str, Any]], scim_id: str, request: Request) -> tuple[int, Any]:
        held = store.get(scim_id)
        if held is None:
            return 404, _error(404, f"{scim_id} not found")
        if request.method == "PUT":
            if store is self.users and self._taken(request.body["userName"], scim_id):
                return 409, _error(409, "userName is taken", "uniqueness")
            store[scim_id] = {**request.body, "id": scim_id}
        elif request.method == "PATCH":
            changed = json.loads(json.dumps(held))
            for operation in request.body["Operations"]:
                if refusal := self._patch(changed, operation):
                    return refusal
            store[scim_id] = changed
        elif request.method == "DELETE":
            del store[scim_id]
            return 204, None
        return 200, store[scim_id]

    def _patch(self, changed: dict[str, Any], operation: dict[str, Any]) -> tuple[int, Any] | None:
        path, verb = operation.get("path", ""), operation["op"]
        if path == "members" and verb == "add":
            listed = changed.setdefault("members", [])
            there = {member["value"] for member in listed}
            for member in operation["value"]:
                if member["value"] not in self.users and self.unknown_member == 200:
                    continue
                if member["value"] not in self.users:
                    return self.unknown_member, _error(
                        self.unknown_member, f"there is no member {member['value']}", "invalidValue"
                    )
                if not self.ignores_member_additions and member["value"] not in there:
                    there.add(member["value"])
                    listed.append(member)
        elif match := _MEMBER.fullmatch(path):
            changed["members"] = [m for m in changed.get("members", []) if m["value"] != match[1]]
        elif verb == "replace" and path:
            changed[path] = operation["value"]
        else:
            return 400, _error(400, f"{verb} {path} is not understood", "invalidPath")
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in mid-request is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    scim: ScimService

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else b""
        request = Request(self.command, self.path, json.loads(content) if content else None)
        self.scim.requests.append(request)
        fault = self.scim.fault_for(request)
        if fault is not None:
            time.sleep(fault.delay)
            if fault.drop == "before":
                self._drop()
                return
            if fault.status:
                self._answer(fault.status, fault.body, fault.headers)
                return
        if self.headers.get("Authorization") != f"Bearer {self.scim.token}":
            self._answer(401, json.dumps(_error(401, "wrong token")).encode(), {})
            return
        status, body = self.scim.carry_out(request)
        if fault is not None and fault.drop == "after":
            self._drop()
            return
        content_type = {"Content-Type": "application/scim+json"}
        self._answer(status, b"" if body is None else json.dumps(body).encode(), content_type)

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Date":
            super().send_header(keyword, value)
        elif self.scim.ahead is not None:
            super().send_header(keyword, format_datetime(datetime.now(UTC) + self.scim.ahead, usegmt=True))

    def log_message(self, *_arguments: object) -> None:
        """Requests are recorded, not printed."""


def _error(status: int, detail: str, kind: str = "") -> dict[str, Any]:
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": str(status), "detail": detail} | (
        {"scimType": kind} if kind else {}
    )
