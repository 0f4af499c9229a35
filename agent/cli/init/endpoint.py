"""Where a further connection of this machine is asked how it goes: each service listens at a port of its own."""

from __future__ import annotations

import tomllib
from itertools import count
from pathlib import Path

from pydantic import ValidationError

from agent.cli.init.draft import Draft
from agent.health_settings import HealthSettings
from agent.operating_system import default_configuration_file


def choose_endpoint(draft: Draft) -> None:
    """Fill in [health] for a service that is not the first, with a port that no other configuration beside it has."""
    if not draft.of_the_service or draft.path.name == default_configuration_file().name:
        return
    beside = [file for file in draft.path.absolute().parent.glob("*.toml") if file.name != draft.path.name]
    host, first = HealthSettings().address or ("", 0)
    taken = {first, *(port for file in beside if (port := _port_of(file)) is not None)}
    draft.sections["health"] = {"listen": f"{host}:{next(port for port in count(first) if port not in taken)}"}


def _port_of(configuration: Path) -> int | None:
    try:
        tables = tomllib.loads(configuration.read_text(encoding="utf-8"))
        address = HealthSettings.model_validate(tables.get("health", {})).address
    except (OSError, ValueError, ValidationError):
        return None  # what is wrong with it is told to whoever starts it
    return address[1] if address else None
