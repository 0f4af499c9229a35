"""The checkpoint of its only source that an agent keeps: to look at, and to put another in its place."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from connectors.base import Checkpoint
from connectors.ldap.checkpoint import LdapCheckpoint, unseal
from tests.agent_runner import Agent


def kept(agent: Agent) -> LdapCheckpoint:
    """Return what the last read ended with."""
    with closing(sqlite3.connect(agent.state / "rollcall.sqlite3")) as database:
        (token,) = database.execute("SELECT checkpoint FROM source").fetchone()
    checkpoint = unseal(Checkpoint(token))
    assert checkpoint is not None
    return checkpoint


def keep(agent: Agent, checkpoint: LdapCheckpoint | str) -> None:
    """Let the next read begin with this one, or with a token that is none."""
    token = checkpoint if isinstance(checkpoint, str) else checkpoint.seal().token
    with closing(sqlite3.connect(agent.state / "rollcall.sqlite3")) as database, database:
        database.execute("UPDATE source SET checkpoint = ?", [token])
