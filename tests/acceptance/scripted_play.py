"""A play in several cycles: an agent, a directory whose answers a test writes, and the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from agent.connection import connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.state.database import State, open_state
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_ldap import Script, ScriptedLdap

_Directory = TypeVar("_Directory", bound=ScriptedLdap)


@dataclass
class ScriptedPlay(Generic[_Directory]):
    """An agent after its first, complete sync from a scripted directory."""

    agent: Agent
    directory: _Directory
    scim: ScimService
    state: State

    @classmethod
    @contextmanager
    def beginning(cls, agent: Agent, directory: _Directory, scim: ScimService) -> Iterator[Self]:
        state = open_state(agent.state)
        try:
            play = cls(agent, directory, scim, state)
            assert play.cycle().exit_code == 0
            yield play
        finally:
            state.close()

    def cycle(self, script: Script | None = None, *, full: bool = False) -> CycleReport:
        """One cycle with this script."""
        if script is not None:
            self.directory.script = script
        try:
            return run_cycle(connect(self.agent.configuration), self.state, full=full)
        finally:
            self.directory.script = lambda _search, honest: honest

    def told(self) -> str:
        """What `rollcall status` says, in one line."""
        return " ".join(self.agent.run("status").out.split())
