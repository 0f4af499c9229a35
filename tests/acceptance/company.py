"""A company with three directories whose people may be the same, and the agent that reads them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agent_runner import Agent
from tests.ldif_text import group, person
from tests.servers.scim_service import ScimService

CORP = {"name": "corp", "connector": "ldif", "file": "directory.ldif"}
PARTNERS = {"name": "partners", "connector": "ldif", "file": "partners.ldif"}
THIRD = {"name": "third", "connector": "ldif", "file": "third.ldif"}
BY_NUMBER = {"by": ["{employeeNumber}"]}


def entry(uid: str, number: str, *, mail: str | None = None, extra: str = "") -> str:
    return person(uid, mail=mail, extra=f"employeeNumber: {number}\n{extra}")


def contact(uid: str, mail: str, *, extra: str = "") -> str:
    return person(uid, mail=mail, extra=extra).replace("inetOrgPerson", "contact")


def filler(source: str) -> str:
    """Somebody else, so that no source is ever without people."""
    return person(f"{source}0") + group(f"other-{source}", f"{source}0")


class Company:
    """Three directories, the agent that reads them, and the service."""

    def __init__(self, agent: Agent, scim: ScimService) -> None:
        self.agent, self.scim = agent, scim
        agent.configure(scim, CORP, PARTNERS, THIRD)
        for source in ("corp", "partners", "third"):
            self.holds(source)

    def declare(self, **same_person: object) -> None:
        self.agent.sections["same_person"] = dict(same_person)
        self.agent.write()

    def holds(self, source: str, *records: str) -> None:
        self.file(source).write_text(filler(source) + "".join(records))

    def file(self, source: str) -> Path:
        return self.agent.directory / ("directory.ldif" if source == "corp" else f"{source}.ldif")

    def user(self, user_name: str) -> dict[str, object]:
        return next(user for user in self.scim.users.values() if user["userName"] == user_name)

    def audit(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in (self.agent.state / "audit.jsonl").read_text().splitlines()]
