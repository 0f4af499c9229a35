"""The agent as it is installed: a directory with settings and state, two sources, and a service in memory."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update

from agent.connection import Connection, connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.plan.approvals import approve
from agent.plugins import Source
from agent.state.database import FILE_NAME, State, open_state
from agent.state.tables import UtcDateTime, fact, metadata
from agent.upstream.brake import Brake
from connectors.base import SourceSettings
from tests.properties.service_in_memory import Broken, InMemory
from tests.properties.small_world import SOURCES, WorldConnector
from tests.servers.scim_service import ScimService

GUARD: dict[str, Any] = {"users": 2, "users_share": "20%", "members": 2, "members_from": 4, "groups": 1}
MANAGED = "example.com"


class Installation:
    """One directory, used over and over: to make a state takes longer than all that happens to it afterwards.

    guard, external, leavers, scope:  the settings; they count from the next `connect` on
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._state = open_state(directory)
        self._empty = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(directory / FILE_NAME)) as fresh:
            fresh.backup(self._empty)
        self._backup = sqlite3.connect(":memory:")
        (directory / "token").write_text("token")

    @property
    def state(self) -> State:
        """The agent's state."""
        return self._state

    def begin(self, service: ScimService) -> None:
        """Be installed anew, for another service."""
        for trail in self.directory.glob("audit*"):
            trail.unlink()
        self._put_back(self._empty)
        self.backed_up = False
        self.transport = InMemory(service)
        self.guard = dict(GUARD)
        self.external: dict[str, Any] = {}
        self.leavers: dict[str, Any] = {}
        self.scope = ["name:app-*"]
        self.last: CycleReport | None = None
        self.connect()

    def close(self) -> None:
        """Close the state."""
        self._state.close()
        self._empty.close()
        self._backup.close()

    def connect(self) -> None:
        """Read the settings, as every start of the agent does."""
        path = self.directory / "agent.toml"
        path.write_text(self._toml())
        connection = connect(path)
        sources = tuple(Source(SourceSettings(name=name, connector="world"), WorldConnector) for name in SOURCES)
        service = replace(connection.service, transport=lambda: self.transport)
        self.connection: Connection = replace(connection, sources=sources, service=service)

    def run(self, *, full: bool = False, by_hand: bool = False) -> None:
        """Run a cycle. by_hand: as `rollcall sync --full`, which also believes what was told before."""
        self.transport.begin()
        self.last = None
        with suppress(Broken):
            self.last = run_cycle(
                self.connection, self._state, full=full, retry_at_once=True, whichever_directory=by_hand and full
            )

    def approve(self, digest: str) -> None:
        """Let a plan through."""
        with self._state.write() as transaction:
            approve(transaction, digest, "somebody", self.connection.settings.guard.approval_valid)

    def back_up(self) -> None:
        """Copy the state."""
        with closing(sqlite3.connect(self.directory / FILE_NAME)) as now:
            now.backup(self._backup)
        self.backed_up = True

    def restore(self) -> None:
        """Put the copy in the place of the state. The audit trail stays what it is."""
        self._put_back(self._backup)

    def let_time_pass(self, hours: int) -> None:
        """Put everything that the state remembers so much further into the past."""
        past = timedelta(hours=hours)
        with self._state.write() as transaction:
            for table in metadata.tables.values():
                times = [column for column in table.c if isinstance(column.type, UtcDateTime)]
                key = list(table.primary_key)
                for row in transaction.execute(select(*key, *times)).all() if times else []:
                    shifted = {
                        column.name: value - past
                        for column, value in zip(times, row[len(key) :], strict=True)
                        if value is not None
                    }
                    mine = [column == value for column, value in zip(key, row, strict=False)]
                    if shifted:
                        transaction.execute(update(table).where(*mine).values(shifted))
            for name, value in transaction.execute(select(fact.c.name, fact.c.value)).all():
                with suppress(ValueError):
                    then = datetime.fromisoformat(value) - past
                    transaction.execute(update(fact).where(fact.c.name == name).values(value=then.isoformat()))

    def has_left_external_users_out(self) -> bool:
        """Tell whether external users come by a decision only from now on."""
        with self._state.read() as connection:
            query = select(fact.c.value).where(fact.c.name == "external users last left out at")
            return connection.execute(query).first() is not None

    def _put_back(self, copy: sqlite3.Connection) -> None:
        with closing(sqlite3.connect(self.directory / FILE_NAME)) as now:
            copy.backup(now)

    def _toml(self) -> str:
        sections = {
            "agent": {"state_dir": str(self.directory)},
            "upstream": {
                "url": "http://127.0.0.1:1/scim/v2", "token_file": str(self.directory / "token"), "workers": 1,
                "attempts": 1,
            },
            "scope": {"groups": self.scope},
            "external": {"managed_domains": [MANAGED]} | self.external,
            "guard": self.guard,
            "leavers": self.leavers,
        }  # fmt: skip
        lines = [
            line
            for name in SOURCES
            for line in ("[[sources]]", f'name = "{name}"', 'connector = "ldif"', 'file = "/nowhere"')
        ]
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {_written(value)}" for key, value in values.items())]
        return "\n".join(lines)


def _written(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


@contextmanager
def installed(directory: Path) -> Iterator[Installation]:
    """Give an installation whose agent says nothing and never waits for a service that asks for it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    patience = pytest.MonkeyPatch()
    for name in ("pause", "hold"):
        patience.setattr(Brake, name, lambda _brake, _seconds: None)
    installation = Installation(directory)
    try:
        yield installation
    finally:
        installation.close()
        patience.undo()
        structlog.reset_defaults()
