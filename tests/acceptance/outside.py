"""Asking a running daemon how it goes, as a monitoring system does."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.agent_runner import Agent
from tests.servers.ports import free_port
from tests.servers.scim_service import ScimService

Labels = dict[str, str]


class Outside:
    """Whoever asks one agent. `configure` has it listen at a port of its own."""

    def __init__(self, agent: Agent, scim: ScimService) -> None:
        self.agent, self.scim = agent, scim
        self.listen = f"127.0.0.1:{free_port()}"
        self.configure()

    def configure(self, **sections: dict[str, Any]) -> None:
        health = {"listen": self.listen} | sections.pop("health", {})
        schedule = {"every": "1s"} | sections.pop("schedule", {})
        self.agent.configure(self.scim, health=health, schedule=schedule, **sections)

    def get(self, path: str, *, method: str = "GET", **headers: str) -> httpx.Response:
        return httpx.request(method, f"http://{self.listen}{path}", headers=headers, trust_env=False, timeout=10)

    def answers(self, path: str = "/healthz") -> bool:
        try:
            return self.get(path).status_code == 200
        except httpx.TransportError:
            return False

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        families = text_string_to_metric_families(self.get("/metrics").text)
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics()[f"rollcall_{name}", tuple(sorted(labels.items()))]
