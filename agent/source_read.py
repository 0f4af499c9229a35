"""Reading one source into the mirror. Whatever its connector does, it takes neither the agent nor the others down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import structlog

from agent.connection import Connection
from agent.directory.mirror import SourceOutcome, absorb, checkpoint_of, owes_full_read
from agent.directory.second_hand import to_look_up
from agent.directory.unreadable import to_look_at_again
from agent.errors import RollcallError
from agent.observe.progress import Progress
from agent.plugins import Source
from agent.state.database import State
from connectors.base import Checkpoint, Completeness, Connector, EntryFound, ReadEnded, ReadEvent, Wanted

_PROGRESS_EVERY = 500

log = structlog.get_logger()


def read_source(
    connection: Connection,
    state: State,
    source: Source,
    stop: threading.Event,
    progress: Progress,
    *,
    full: bool,
    whichever_directory: bool,
) -> SourceOutcome:
    """Read one source into the mirror. A connector that raises is a read that FAILED."""
    due = full or owes_full_read(state, source.name)
    fingerprint = source.fingerprint(connection.wanted)
    with closing(_opened(source)) as connector:
        # A checkpoint that is only left aside still guards against another directory if this read comes to nothing.
        since = None if whichever_directory else checkpoint_of(state, source.name, fingerprint)

        def read(*, full_due: bool, why: str = "") -> SourceOutcome:
            wanted = replace(connection.wanted, full=full_due)
            if not full_due:
                again, elsewhere = to_look_at_again(state, source.name), to_look_up(state, source.name)
                wanted = replace(wanted, again=again, elsewhere=elsewhere)
            events = _watched(connector.read(wanted, since), source, stop, progress)
            return absorb(
                state, source.name, events, fingerprint, full_due=full_due, why=why, meant=whichever_directory,
                sources=[configured.settings for configured in connection.sources],
            )  # fmt: skip

        outcome = read(full_due=due)
        if outcome.needs_full:
            log.info("reading in full", source=source.name, reason=outcome.needs_full)
            outcome = read(full_due=True, why=outcome.needs_full)
    heard = replace(outcome, unreadable=())
    if outcome.completeness is Completeness.COMPLETE and not outcome.emptied:
        log.info(
            "source read",
            source=source.name,
            server=heard.server,
            extent=heard.extent.value,
            note=heard.note,
            reason=heard.reason,
            seen=heard.seen,
            changed=heard.changed,
            gone=heard.gone,
        )
    else:
        log.warning("source not read completely", source=source.name, reason=heard.reason)
    for sentence in outcome.unreadable:
        log.warning("entry cannot be understood", source=source.name, reason=sentence)
    return outcome


class _Broken:
    """Stands for a connector that cannot even be made."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        del wanted, since
        yield ReadEnded(Completeness.FAILED, self._reason)

    def close(self) -> None:
        """Nothing is open."""


def _opened(source: Source) -> Connector | _Broken:
    try:
        return source.open()
    except RollcallError:
        raise
    except Exception as error:
        log.exception("the connector raised", source=source.name)
        return _Broken(source.failed(error))


def _watched(
    events: Iterator[ReadEvent], source: Source, stop: threading.Event, progress: Progress
) -> Iterator[ReadEvent]:
    """Pass events on and count the entries; an exception or a wish to stop makes it a read that FAILED."""
    seen = 0
    try:
        for event in events:
            progress.alive()
            if stop.is_set():
                yield ReadEnded(
                    Completeness.FAILED, f"source {source.name}: the agent was asked to stop while reading it."
                )
                return
            if isinstance(event, EntryFound):
                seen += 1
                if seen % _PROGRESS_EVERY == 0:
                    progress.reading(source.name, seen)
            yield event
    except RollcallError:
        raise
    except Exception as error:
        log.exception("the connector raised", source=source.name)
        yield ReadEnded(Completeness.FAILED, source.failed(error))
    progress.reading(source.name, seen)
