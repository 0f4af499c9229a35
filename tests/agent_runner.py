"""Running the agent as an administrator does: a configuration file, commands, exit codes, output."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.warm_agent import RunningAgent, WarmAgent

_WARM = WarmAgent()

# [guard] that stops nothing, for tests that are about something else: neither at once nor over the days.
NO_LIMITS = {"users": 10_000, "groups": 10_000, "members": 10_000, "may_become_empty": True}


class Upstream(Protocol):
    url: str
    token: str


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Agent:
    """One configuration and its state."""

    directory: Path
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def configuration(self) -> Path:
        return self.directory / "agent.toml"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def log(self) -> Path:
        return self.directory / "agent.log"

    @property
    def ldif(self) -> Path:
        return self.directory / "directory.ldif"

    def configure(self, service: Upstream, *sources: dict[str, Any], **sections: dict[str, Any]) -> None:
        """Write the configuration; secrets go into files of their own. Without sources: the LDIF file."""
        (self.directory / "scim.token").write_text(service.token + "\n")
        self.sections = {
            "agent": {"state_dir": "state"},
            "upstream": {"url": service.url, "token_file": "scim.token", "attempts": 3},
            "scope": {"groups": ["name:app-*"]},
            "external": {"managed_domains": ["example.com"]},
            "health": {"listen": ""},  # many agents run at once here
        }
        for name, values in sections.items():
            self.sections[name] = self.sections.get(name, {}) | values
        self.sources = [dict(source) for source in sources] or [
            {"name": "corp", "connector": "ldif", "file": "directory.ldif"}
        ]
        for source in self.sources:
            password = source.pop("bind_password", None)
            if password is not None:
                (self.directory / f"{source['name']}.password").write_text(f"{password}\n")
                source["bind_password_file"] = f"{source['name']}.password"
        self.write()

    def write(self) -> None:
        lines = []
        for source in self.sources:
            lines += ["[[sources]]", *(f"{key} = {_toml(value)}" for key, value in source.items()), ""]
        for section, values in self.sections.items():
            lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
        self.configuration.write_text("\n".join(lines), encoding="utf-8")

    def run(self, *arguments: str, timeout: float = 300, **environment: str) -> Done:
        """Run a command to its end. A traceback is a failure whatever the exit code."""
        out, err = self.directory / "command.out", self.directory / "command.err"
        process = _WARM.start(self._command(*arguments), out, err, os.environ | environment)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        done = Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))
        assert "Traceback" not in done.err, done.err
        return done

    def start(self, *arguments: str) -> RunningAgent:
        """Start a command; the caller ends it. What it logs is in `log`."""
        return _WARM.start(self._command(*arguments), Path(os.devnull), self.log, os.environ)

    def _command(self, *arguments: str) -> list[str]:
        return [*arguments, "--config", str(self.configuration)]

    def sync(self, *arguments: str) -> Any:
        """Run a cycle and return its JSON report, with the exit code in it."""
        done = self.run("sync", "--json", *arguments)
        assert done.out, done.err
        return done.document


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return str(value) if isinstance(value, int | float) else json.dumps(str(value))
