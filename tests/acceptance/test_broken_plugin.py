"""A connector of somebody else that raises where it must not takes neither the agent nor the other sources down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agent.connection import connect
from agent.cycle import run_cycle
from agent.errors import ExitCode
from agent.plugins import Source
from agent.state.database import open_state
from connectors.base import Checkpoint, Finding, ReadEvent, SourceSettings, Wanted
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService


class Raising:
    """Raises at one of the places."""

    settings_type = SourceSettings
    where = ""

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings
        self._at("made")

    def fingerprint(self, wanted: Wanted) -> str:
        del wanted
        self._at("fingerprint")
        return "f"

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        del wanted, since
        self._at("read")
        yield from ()

    def check(self) -> Iterator[Finding]:
        self._at("check")
        yield from ()

    def close(self) -> None:
        """Nothing is open."""

    def _at(self, place: str) -> None:
        if self.where == place:
            raise ZeroDivisionError(f"in {place}")


@pytest.mark.parametrize("place", ["made", "fingerprint", "read"])
def test_the_other_sources_go_on_and_the_broken_one_is_named(
    agent: Agent, scim: ScimService, place: str, monkeypatch: Any
) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(2) + group("app-a", *uids(2)))
    connection = connect(agent.configuration)
    broken = Source(SourceSettings(name="theirs", connector="third-party"), Raising)
    connection = replace(connection, sources=(*connection.sources, broken))
    monkeypatch.setattr(Raising, "where", place)
    state = open_state(agent.directory / "state")
    try:
        report = run_cycle(connection, state)
    finally:
        state.close()

    assert report.exit_code is ExitCode.SOURCE_INCOMPLETE
    assert "source theirs: " in report.sentences[0]
    assert scim.membership() == {"app-a": {"u0@example.com", "u1@example.com"}}
