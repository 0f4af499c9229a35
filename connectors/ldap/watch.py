"""Hearing of changes as they happen (RFC 4533, refreshAndPersist).

What is heard only says that it is time to read: the read itself goes on from its own checkpoint, so a change that is
not heard, or heard twice, does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from threading import Event

from connectors.errors import CheckpointRefused, ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.choice import dialect_named
from connectors.ldap.content_synchronisation import IdSet, Mode, SyncDone
from connectors.ldap.opening import open_session
from connectors.ldap.session import Synchronised, SyncMessage
from connectors.ldap.settings import LdapSettings
from connectors.ldap.syncrepl import Dialect

_TICK = 0.2  # seconds between two looks at the wish to stop
_RENEWED_AFTER = 300  # seconds: a connection that died unnoticed is deaf for no longer


@dataclass(frozen=True, slots=True)
class _Heard:
    """One message of a base, None for silence."""

    base: str
    message: SyncMessage | None


def watch_directory(settings: LdapSettings, past: LdapCheckpoint | None, stop: Event) -> Iterator[str]:
    """Yield a word for every message that tells of a change, until `stop` is set or it is time to connect anew.

    Raises SourceError when the server cannot be reached, or offers nothing of the kind.
    """
    dialect = dialect_named(past.strategy) if past is not None else None
    if past is None or dialect is None:
        raise ReadInterrupted(
            f"source {settings.name}: changes cannot be heard as they happen, because the directory is not read by "
            "syncrepl; the schedule serves it."
        )
    until = time.monotonic() + _RENEWED_AFTER
    with ExitStack() as open_ones:
        ears = [
            open_ones.enter_context(closing(_listen(settings, dialect, base, past.position.get(base))))
            for base in settings.scopes
        ]
        while not stop.is_set() and time.monotonic() < until:
            for ear in ears:
                heard = next(ear)
                if isinstance(heard.message, SyncDone):
                    return  # the server ended it; the caller connects again
                if isinstance(heard.message, Synchronised) or (
                    isinstance(heard.message, IdSet) and heard.message.deleted
                ):
                    yield f"something changed below {heard.base}"


def _listen(settings: LdapSettings, dialect: Dialect, base: str, position: str | None) -> Generator[_Heard, None, None]:
    """Listen below one base, in a session of its own. The next after the last message raises ReadInterrupted."""
    search_filter = dialect.search_filter(settings.scopes[base])
    session = open_session(settings)
    try:
        start = position or dialect.begin(session, base, search_filter)
        refused = False
        while True:
            try:
                for message in session.synchronise(
                    base,
                    search_filter,
                    ["1.1"],
                    dialect.cookie_of(start),
                    mode=Mode.REFRESH_AND_PERSIST,
                    tick=_TICK / len(settings.scopes),
                ):
                    refused = False
                    yield _Heard(base, message)
            except CheckpointRefused as error:
                if refused:
                    raise ReadInterrupted(f"source {settings.name}: changes cannot be heard now: {error}") from error
                # The next read will be a full one. From now on, then.
                refused = True
                start = dialect.begin(session, base, search_filter)
            else:
                raise ReadInterrupted(f"source {settings.name}: {session.url} ended the watch.")
    finally:
        session.close()
