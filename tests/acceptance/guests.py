"""One guest, one of the staff and one group: cycles about them, for tests of external accounts."""

from __future__ import annotations

import sqlite3
from typing import Any

from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import Fault, ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "members_from": 0}
SHUT = {"users": 0, "users_share": "0%", "groups": 0, "groups_share": "0%", "members": 0, "members_share": "0%",
        "members_from": 0}  # fmt: skip
OLD, NEW, STAFF_NAME = "guest@partner.example", "new@partner.example", "staff@example.com"
GUEST, MOVED, STAFF = person("guest", mail=OLD), person("guest", mail=NEW), person("staff")
APP_A = group("app-a", "guest", "staff")
BY_UID = {"user_name": "{uid}"}


def cycle(agent: Agent, service: Any, content: str, *, guard: Any = OPEN, upstream: Any = None, mapping: Any = None,
          **external: object) -> Any:  # fmt: skip
    sections: dict[str, Any] = {"guard": guard, "upstream": upstream or {}, "external": external}
    if getattr(service, "behaviour", None):
        sections["upstream"] = {"external_users": service.behaviour} | sections["upstream"]
    if mapping:
        sections["mapping"] = mapping
    agent.configure(service, **sections)
    agent.ldif.write_text(content)
    return agent.sync()


def marks(agent: Agent) -> list[int]:
    with sqlite3.connect(agent.state / "rollcall.sqlite3") as connection:
        return [row[0] for row in connection.execute("select entry_id from mark")]


def settles(agent: Agent) -> None:
    agent.sync()
    last = agent.sync()
    assert last["counts"]["writes"] == 0
    assert last["counts"]["planned"] == 0
    assert marks(agent) == []


def drop_group_patches(service: ScimService, drop: str, times: int = 99) -> None:
    service.faults.append(Fault(lambda r: r.method == "PATCH" and "/Groups/" in r.path, times=times, drop=drop))
