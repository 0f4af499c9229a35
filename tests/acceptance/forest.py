"""A forest of two domains, with a global catalogue that can be made to misbehave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agent.connection import connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.state.database import open_state
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import (
    ScriptedActiveDirectory,
    group_dn,
)
from tests.servers.scripted_catalogue import EMEA_PEOPLE, ScriptedCatalogue, colleague

APP_ALL = group_dn("app-all")

HERE = {"u0@example.com", "u1@example.com"}

ANN, BEN = "ann@emea.example", "ben@emea.example"


@dataclass
class Forest:
    """An agent that reads the groups of one domain; ann and ben of another one are in app-all."""

    agent: Agent
    scim: ScimService
    domain: ScriptedActiveDirectory
    catalogue: ScriptedCatalogue

    def cycle(self, *, full: bool = False) -> CycleReport:
        state = open_state(self.agent.state)
        try:
            return run_cycle(connect(self.agent.configuration), state, full=full)
        finally:
            state.close()

    def members(self) -> set[str]:
        return self.scim.membership()["app-all"]

    def add(self, name: str, **attributes: Sequence[bytes]) -> str:
        dn, held = colleague(name, **attributes)
        self.domain.elsewhere[dn] = held
        return dn

    def set(self, name: str, **attributes: Sequence[bytes]) -> None:
        self.domain.elsewhere[f"CN={name},{EMEA_PEOPLE}"] |= attributes

    def move(self, name: str, to: str) -> None:
        """Nothing is logged of the groups that list the member: the names of members are not theirs."""
        dn, listed = f"CN={name},{EMEA_PEOPLE}", self.domain.entries[APP_ALL]
        self.domain.elsewhere[to] = self.domain.elsewhere.pop(dn)
        listed["member"] = [to.encode() if value == dn.encode() else value for value in listed["member"]]

    def unknown(self) -> list[tuple[str, int]]:
        rows: list[dict[str, Any]] = self.agent.run("status", "--json").document["unknown_members"]
        return [(row["domain"], row["members"]) for row in rows]


@contextmanager
def forest(agent: Agent, scim: ScimService, **settings: object) -> Iterator[Forest]:
    domain = ScriptedActiveDirectory(2)
    catalogue = ScriptedCatalogue(domain)
    with domain, catalogue:
        forest = Forest(agent, scim, domain, catalogue)
        domain.join(APP_ALL, forest.add("ann"), forest.add("ben"))
        urls = catalogue.settings()["urls"]
        agent.configure(
            scim, domain.settings(global_catalog=True, global_catalog_urls=urls, **settings), guard=NO_LIMITS,
            upstream={"workers": 1}, mapping={"user": {"title": "{title}"}},
        )  # fmt: skip
        yield forest
