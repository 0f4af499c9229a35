"""The configuration as it comes to be: its tables with the secrets in memory, and what is to be written of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.connection import Connection, connection_of, secrets_of
from agent.observe.logs import configure_logs
from agent.operating_system import credentials_beside, is_of_the_service, state_directory_of
from agent.settings import check_settings

# What stands for an answer that is still to come, so that the rest can be tried.
_TO_COME: dict[str, dict[str, Any]] = {
    "upstream": {"url": "https://upstream.invalid", "token": "to-come"},
    "scope": {"groups": ["name:*"]},
    "external": {"managed_domains": ["domain.invalid"]},
}


@dataclass
class Draft:
    """The answers so far. `source` and `sections` hold the secrets by their own names."""

    path: Path
    source: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)

    def connection(self, state_directory: Path | None = None) -> Connection:
        """Return the connection that the answers make, with its state elsewhere if need be. Raises UsageProblem."""
        sections = {name: dict(values) for name, values in (_TO_COME | self.sections).items()}
        sections["agent"] = {"state_dir": str(state_directory or self.state_directory())}
        made = connection_of(check_settings({"sources": [dict(self.source)], **sections}, self.path), self.path)
        configure_logs("console", "error", secrets_of(made))
        return made

    @property
    def unwritten(self) -> Path:
        """A path that no secrets lie beside: those of a former time are not the answers of this one."""
        return self.path.with_name("what-init-asks.toml")

    @property
    def of_the_service(self) -> bool:
        """Whether this is a file that the installed service reads."""
        return is_of_the_service(self.path)

    def state_directory(self) -> str:
        """Return where the state is kept, as the units of the service have it, or else beside the file."""
        if not self.of_the_service:
            return "state"
        return str(state_directory_of(self.path))

    def secrets(self) -> dict[Path, str]:
        """Return the files for the secrets, with what is to be in them."""
        place = credentials_beside(self.path) if self.of_the_service else self.path.absolute().parent
        return {
            place / f"{self.source['name']}.bind_password": str(self.source["bind_password"]),
            place / "upstream.token": str(self.sections["upstream"]["token"]),
        }

    def text(self) -> str:
        """Return the configuration file. No secret is in it."""
        source = {key: value for key, value in self.source.items() if key != "bind_password"}
        upstream = {key: value for key, value in self.sections["upstream"].items() if key != "token"}
        if not self.of_the_service:
            source["bind_password_file"] = f"{source['name']}.bind_password"
            upstream["token_file"] = "upstream.token"  # noqa: S105 - the name of the file
        lines = ["# Written by rollcall init. agent.example.toml shows every setting there is.", ""]
        lines += [*_table("[agent]", {"state_dir": self.state_directory()}), *_table("[[sources]]", source)]
        for name, values in (self.sections | {"upstream": upstream}).items():
            lines += _table(f"[{name}]", values)
        return "\n".join(lines).rstrip() + "\n"


def _table(heading: str, values: dict[str, Any]) -> list[str]:
    return [heading, *(f"{key} = {_value(value)}" for key, value in values.items()), ""]


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # A JSON string is a TOML string but for DEL, which TOML wants escaped.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
