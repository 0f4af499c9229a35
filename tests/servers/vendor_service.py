"""SCIM services that treat users of foreign domains as vendors do, over real HTTP.

`breaches` holds what such a service punishes: calls that it must never get.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from tests.servers.scim_service import Request, ScimService

ACCOUNT = "urn:scim:schemas:extension:atlassian-external:1.0"


class VendorService(ScimService):
    """behaviour: locked, invite, ordinary or refuse. `domains` are those the organisation has verified."""

    def __init__(self, behaviour: str, domains: set[str] | None = None) -> None:
        super().__init__()
        self.behaviour = behaviour
        self.domains = domains or {"example.com"}
        self.breaches: list[str] = []
        self.invitations: list[str] = []

    def is_external(self, user: dict[str, Any]) -> bool:
        return user["emails"][0]["value"].rpartition("@")[2].lower() not in self.domains

    def calls(self, since: int = 0) -> Counter[tuple[str, str]]:
        """Count the writes by method and kind of object."""
        kinds: Counter[tuple[str, str]] = Counter()
        for request in self.requests[since:]:
            if request.method != "GET":
                kinds[request.method, self._kind(request)] += 1
        return kinds

    def carry_out(self, request: Request) -> tuple[int, Any]:
        name, scim_id = ([*request.path.removeprefix("/scim/v2/").split("?")[0].split("/"), ""])[:2]
        user = self.users.get(scim_id) if name == "Users" else None
        changes = request.method in {"PUT", "PATCH", "DELETE"}
        if user is not None and changes and self.behaviour == "locked" and self.is_external(user):
            self.breaches.append(f"{request.method} of {user['userName']}")
            for group in self.groups.values():
                group["members"] = [m for m in group.get("members", []) if m["value"] != scim_id]
            user.pop(ACCOUNT, None)
        if user is not None and request.method == "PUT" and self.behaviour == "invite" and self.is_external(user):
            wanted = request.body["emails"][0]["value"]
            if wanted != user["emails"][0]["value"]:
                self.breaches.append(f"{user['userName']} was given the address {wanted}")
        if name == "Groups" and self.behaviour == "locked" and "displayName" in str(request.body) and scim_id:
            return 400, {"status": "400", "detail": "displayName is immutable"}
        return super().carry_out(request)

    def _create(self, store: dict[str, dict[str, Any]], body: dict[str, Any]) -> tuple[int, Any]:
        if store is not self.users or not self.is_external(body):
            return super()._create(store, body)
        address = body["emails"][0]["value"]
        if self.behaviour == "refuse":
            return 403, {"status": "403", "detail": f"{address} is not of a verified domain"}
        if self.behaviour == "locked":
            if any(user["emails"][0]["value"] == address for user in self.users.values()):
                return 409, {"status": "409", "detail": f"Resource [USER]: with email[{address}] already exists."}
            body = {**body, ACCOUNT: {"atlassianAccountId": uuid.uuid4().hex}}
        if self.behaviour == "invite" and not self._taken(body["userName"], ""):
            if address in self.invitations:
                self.breaches.append(f"{address} was invited twice")
            self.invitations.append(address)
            body = {**body, "active": False}
        return super()._create(store, body)

    def _kind(self, request: Request) -> str:
        name, scim_id = ([*request.path.removeprefix("/scim/v2/").split("/"), ""])[:2]
        if name == "Groups":
            return "group"
        user = request.body if request.method == "POST" else self.users[scim_id]
        return "external" if self.is_external(user) else "managed"
