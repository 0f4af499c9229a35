"""Opening the state and its transactions.

One process writes (see agent/operating_system.py for its lock). Inside that process several push workers
acknowledge at the same time; `State.write` lets one of them in at a time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.dml import Insert

from agent.errors import StateOfNewerVersion, StateProblem
from agent.state.unusable import is_damage, unusable

Item = TypeVar("Item")

_WRITES = "rollcall_writes"
FILE_NAME = "rollcall.sqlite3"
_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class _File:
    """Where a state is. copy: what is worked with in its place."""

    path: Path
    copy: Path | None = None

    def trouble(self, error: BaseException | None) -> StateProblem:
        """Tell what SQLite says, about the file that an administrator knows."""
        return unusable(self.path, error, self.copy)


class State:
    """The state database, migrated to this program's schema.

    `read()` and `write()` give SQLAlchemy connections; each `write()` is one transaction, committed at its end
    and rolled back by an exception.
    """

    def __init__(self, engine: Engine, file: _File) -> None:
        self._engine = engine
        self._file = file
        self._one_writer = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees the last committed state."""
        with _told(self._file), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection inside a transaction of its own, which waits for that of another process to end."""
        with _told(self._file), self._one_writer, self._engine.connect() as idle:
            connection = idle.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Close every connection, so that the files can be moved or removed (on Windows they are locked)."""
        self._engine.dispose()


def open_state(directory: Path) -> State:
    """Open the state in `directory`, creating or migrating it as needed.

    Raises StateProblem when it cannot be opened, is damaged, or was written by a newer version.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateProblem(
            f"The state directory {directory} cannot be created: {error.strerror}. "
            "Set [agent] state_dir to a directory this account may write."
        ) from error
    return _opened(_File(directory / FILE_NAME))


def _opened(file: _File) -> State:
    engine = _sqlite_engine(file.copy or file.path)
    try:
        _migrate(engine, file.path)
    except DBAPIError as error:
        engine.dispose()
        raise file.trouble(error.orig) from error
    except StateProblem:
        engine.dispose()
        raise
    return State(engine, file)


def state_is_there(directory: Path) -> bool:
    """Tell whether there is a state. Raises StateProblem where this account may not look."""
    path = directory / FILE_NAME
    try:
        return path.exists()
    except OSError as error:
        raise StateProblem(
            f"The state {path} cannot be looked at: {error.strerror}. Run as root or as the service account."
        ) from error


@contextmanager
def state_to_look_at(directory: Path) -> Iterator[State]:
    """Open the state in `directory` for commands that only look, beside whoever works with it.

    It has to be there. Raises StateProblem, also for a state that has not been brought up to this program's schema:
    that is for who writes.
    """
    path = directory / FILE_NAME
    engine = _sqlite_engine(path, look_only=True)
    try:
        try:
            with engine.connect() as connection:
                current = MigrationContext.configure(connection).get_current_revision()
        except DBAPIError as error:
            raise unusable(path, error.orig) from error
        if current != schema_version():
            raise StateProblem(
                f"The state {path} is of another version of Rollcall (schema {current or 'none'}; this one works with "
                f"{schema_version()}). Run rollcall sync, or restart the service, with this version first."
            )
        yield State(engine, _File(path))
    finally:
        engine.dispose()


@contextmanager
def scratch_copy(directory: Path, scratch: Path) -> Iterator[State]:
    """Give a copy of the state, in the directory `scratch`, for commands that compute and must not write.

    The original may be in use: SQLite's backup copies a consistent snapshot of it.
    """
    original, copy = directory / FILE_NAME, None
    if state_is_there(directory):
        # Not by opening it: to close a file gives up the locks that SQLite has on it in this process (POSIX).
        if not (original.is_file() and os.access(original, os.R_OK)):
            raise StateProblem(
                f"The state {original} cannot be read: it is no file that this account may read. Run as the service "
                "account, or correct the owner and the rights of the file."
            )
        try:
            with (
                closing(sqlite3.connect(f"{original.absolute().as_uri()}?mode=ro", uri=True)) as source,
                closing(sqlite3.connect(scratch / FILE_NAME)) as target,
            ):
                source.execute("PRAGMA schema_version").fetchone()  # up to here it is not about the copy
                copy = scratch / FILE_NAME
                source.backup(target)
        except sqlite3.Error as error:
            raise unusable(original, error, copy) from error
    state = _opened(_File(original, scratch / FILE_NAME))
    try:
        yield state
    finally:
        state.close()


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut `items` into lists of at most `size`: databases limit the number of values in one statement."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def upsert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert `rows`, or replace the other columns of the rows that have the same primary key."""
    if rows:
        connection.execute(_upserting(connection.dialect.name, table, tuple(rows[0])), rows)


@cache
def _upserting(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    key = [column.name for column in table.primary_key]
    # INSERT … ON CONFLICT is the one statement SQLAlchemy does not put behind a common name.
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    changed = {name: insert.excluded[name] for name in columns if name not in key}
    if changed:
        return insert.on_conflict_do_update(index_elements=key, set_=changed)
    return insert.on_conflict_do_nothing(index_elements=key)


@contextmanager
def _told(file: _File) -> Iterator[None]:
    """Turn trouble with the database into a sentence; its own error carries whole statements."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, OperationalError) or is_damage(error.orig):
            raise file.trouble(error.orig) from error
        raise


def _sqlite_engine(path: Path, *, look_only: bool = False) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Python's driver must not open transactions by itself: it would delay BEGIN until the first write and
        # so turn a reader into a writer in mid-transaction, which SQLite may have to refuse.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            # Every acknowledgement survives the end of this process. A power cut may lose the last of them; the audit
            # trail tells, and what stands upstream is looked at as after a restore (agent/restored_state.py).
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=30000",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if look_only:
            connection.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Whoever reads first and writes later is refused at once if another process has written meanwhile.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")

    return engine


def schema_version() -> str:
    """Return the version of the schema that this program works with."""
    return str(_scripts().get_current_head())


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_configuration())


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(_MIGRATIONS))
    return configuration


def _migrate(engine: Engine, path: Path) -> None:
    scripts = _scripts()
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current == scripts.get_current_head():
            return
        known = {script.revision for script in scripts.walk_revisions()}
        if current is not None and current not in known:
            raise StateOfNewerVersion(
                f"The state {path} was written by a newer version of Rollcall (schema {current}). "
                "Install that version again, or point [agent] state_dir to another directory."
            )
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
