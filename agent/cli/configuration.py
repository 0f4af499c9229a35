"""Opening the configuration named on the command line, for every command."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from agent.connection import Connection, connect, secrets_of
from agent.observe.logs import configure_logs
from agent.operating_system import make_private_directory, on_stop_signal, single_writer
from agent.service.account import act_as_owner
from agent.state.database import State, open_state


def open_connection(options: argparse.Namespace) -> Connection:
    """Read the configuration named on the command line and set up the logs it asks for."""
    connection = connect(options.config)
    agent = connection.settings.agent
    level = "warning" if options.quiet_logs and not options.verbose else agent.log_level
    configure_logs(agent.log_format, "debug" if options.verbose else level, secrets_of(connection))
    structlog.contextvars.clear_contextvars()
    return connection


@contextmanager
def state_to_write(connection: Connection) -> Iterator[tuple[State, threading.Event]]:
    """Give the state to the one command that may write it, and what is set when that is asked to stop.

    Raises StateProblem, and AnotherAgentRuns.
    """
    directory = connection.settings.agent.state_dir
    act_as_owner(directory)
    make_private_directory(directory)
    stop = threading.Event()
    on_stop_signal(stop.set)
    with single_writer(directory):
        state = open_state(directory)
        try:
            yield state, stop
        finally:
            state.close()


@contextmanager
def state_beside(connection: Connection) -> Iterator[State]:
    """Give the state to a command that reads it, or records a decision, beside the one that writes.

    Also who only reads leaves files: those of the database's journal. Raises StateProblem.
    """
    directory = connection.settings.agent.state_dir
    act_as_owner(directory)
    state = open_state(directory)
    try:
        yield state
    finally:
        state.close()
