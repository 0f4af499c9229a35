"""The real scim2-server (an independent SCIM service, in memory), as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

from tests.servers.ports import free_port


class Scim2Server:
    """Use as a context manager."""

    token = "scim-Tok3n-Harrier-90210"

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v2"

    def __enter__(self) -> Self:
        command = Path(sys.executable).parent / "scim2-server"
        self._process = subprocess.Popen(
            [str(command), "--port", str(self.port), "--bearer-token", self.token],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self._get("/ServiceProviderConfig")
            except httpx.TransportError:
                assert self._process.poll() is None, "scim2-server ended at once"
                time.sleep(0.05)
            else:
                return self
        raise RuntimeError("scim2-server did not start")

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def users(self) -> list[dict[str, Any]]:
        return self._all("/Users")

    def groups(self) -> list[dict[str, Any]]:
        return self._all("/Groups")

    def membership(self) -> dict[str, set[str]]:
        """Group name → userNames of its members. Fails on a group or member that is there twice."""
        names = {user["id"]: user["userName"] for user in self.users()}
        return memberships(self.groups(), names)

    def _all(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._get(path, startIndex=len(found) + 1, count=1000)
            found += page.get("Resources", [])
            if len(found) >= page["totalResults"]:
                return found

    def _get(self, path: str, **params: int) -> dict[str, Any]:
        answer = httpx.get(
            self.url + path, params=params, headers={"Authorization": f"Bearer {self.token}"}, timeout=60
        )
        answer.raise_for_status()
        return dict(answer.json())


def memberships(groups: list[dict[str, Any]], names: dict[str, str]) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {}
    for group in groups:
        listed = [member["value"] for member in group.get("members") or []]
        assert len(listed) == len(set(listed)), f"{group['displayName']} holds a member twice"
        assert group["displayName"] not in result, f"there are two groups {group['displayName']}"
        result[group["displayName"]] = {names[value] for value in listed}
    return result
