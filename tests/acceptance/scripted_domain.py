"""A play with a domain whose controller's answers a test writes, and what has to stand upstream after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from connectors.active_directory import entries, increments, landmarks
from tests.acceptance.scripted_play import ScriptedPlay
from tests.agent_runner import NO_LIMITS, Agent
from tests.servers.scim_service import ScimService
from tests.servers.scripted_active_directory import GROUPS, ScriptedActiveDirectory


class DomainPlay(ScriptedPlay[ScriptedActiveDirectory]):
    """An agent after its first sync from a scripted domain."""

    def expected(self) -> dict[str, set[str]]:
        """What a complete sync leads to: the members of every group that are people below the bases."""
        entries, bases = self.directory.entries, tuple(self.agent.sources[0]["base_dn"])
        people = {
            dn.encode(): held["mail"][0].decode()
            for dn, held in entries.items()
            if dn.endswith(bases) and "mail" in held and held.get("useraccountcontrol") != [b"514"]
        }
        return {
            held["cn"][0].decode(): {people[member] for member in held["member"] if member in people}
            for dn, held in entries.items()
            if dn.endswith(GROUPS) and "member" in held
        }

    def equal(self) -> bool:
        """Whether the upstream is as the domain is."""
        expected = self.expected()
        return self.scim.membership() == expected and self.scim.active() == set().union(*expected.values())

    def standing(self) -> tuple[dict[str, set[str]], set[str]]:
        """What stands upstream: the members of every group, and the people who are active."""
        return self.scim.membership(), self.scim.active()


@contextmanager
def domain_play(
    agent: Agent, scim: ScimService, directory: ScriptedActiveDirectory, **settings: object
) -> Iterator[DomainPlay]:
    """Begin, and check that the first sync led to what was expected."""
    with begun_play(agent, scim, directory, **settings) as play:
        assert play.equal()
        yield play


@contextmanager
def begun_play(
    agent: Agent, scim: ScimService, directory: ScriptedActiveDirectory, **settings: object
) -> Iterator[DomainPlay]:
    """Begin with more than `DomainPlay.expected` knows of: nested groups, primary groups."""
    with directory:
        # Each worker has a connection of its own, which takes longer to make than all it is used for here.
        agent.configure(scim, directory.settings(**settings), guard=NO_LIMITS, upstream={"workers": 1})
        with DomainPlay.beginning(agent, directory, scim) as play:
            yield play


def set_the_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """Let this machine's clock be wrong; the domain's is right."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return datetime.now(UTC) + ahead

    modules: tuple[ModuleType, ...] = (entries, increments, landmarks)
    for module in modules:
        monkeypatch.setattr(module, "datetime", Clock)
