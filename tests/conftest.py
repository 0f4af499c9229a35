"""Fixtures for everybody: real servers and configurations in a temporary directory."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.servers.openldap import OpenLdap
from tests.servers.scim2_server import Scim2Server
from tests.servers.scim_service import ScimService


def pytest_collection_finish() -> None:
    """What is imported stays: it is not looked through again and again for what could be freed."""
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The process that everything began with clears up what its workers shared."""
    if hasattr(session.config, "workerinput") or sys.platform == "win32":
        return
    from tests.servers.samba import remove_template  # noqa: PLC0415 - on Windows there is neither Samba nor fcntl

    remove_template()


@pytest.fixture
def scim() -> Iterator[ScimService]:
    """A fast SCIM service written for the tests, which can be made to misbehave."""
    with ScimService() as service:
        yield service


@pytest.fixture
def real_scim() -> Iterator[Scim2Server]:
    """The real scim2-server."""
    with Scim2Server() as service:
        yield service


@pytest.fixture
def openldap(tmp_path: Path) -> Iterator[OpenLdap]:
    """A slapd that is configured and not started: load it, then start it."""
    directory = tmp_path / "slapd"
    directory.mkdir()
    server = OpenLdap(directory)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent with an LDIF source, whose content a test writes."""
    directory = tmp_path / "agent"
    directory.mkdir()
    return Agent(directory)
