"""Taking a connector's read into the mirror.

One read is one transaction, checkpoint included, so a checkpoint can never be ahead of the data it describes.
Whatever a read changes is marked; planning follows the marks, not the size of the directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from agent.directory.outcome import SourceOutcome
from agent.directory.reading import Reading
from agent.state.database import State, upsert
from agent.state.tables import source
from connectors.base import Checkpoint, Completeness, ReadEvent, SourceSettings

__all__ = ["SourceOutcome", "absorb", "checkpoint_of", "owes_full_read"]


def checkpoint_of(state: State, source_name: str, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of a source, or None when it was made with other settings.

    A read may go on from it unless a FULL one is owed (`owes_full_read`).
    """
    with state.read() as connection:
        row = connection.execute(
            select(source.c.checkpoint, source.c.fingerprint).where(source.c.name == source_name)
        ).first()
    if row is None or row.checkpoint is None or row.fingerprint != fingerprint:
        return None
    return Checkpoint(row.checkpoint)


def owes_full_read(state: State, source_name: str) -> bool:
    """Tell whether a FULL read is due, and none has been COMPLETE since."""
    with state.read() as connection:
        return bool(connection.execute(select(source.c.owes_full).where(source.c.name == source_name)).scalar())


def absorb(
    state: State,
    source_name: str,
    events: Iterable[ReadEvent],
    fingerprint: str,
    *,
    full_due: bool = False,
    why: str = "",
    meant: bool = False,
    sources: Sequence[SourceSettings] = (),
) -> SourceOutcome:
    """Take one read into the mirror and return how it went.

    A PARTIAL read adds and changes, and removes only what the source itself said it deleted. A FAILED one, a stream
    that stops without its end, and one that only a FULL read can settle (`needs_full`) change nothing at all.

    full_due: the agent asked for a FULL read; until one is COMPLETE it goes on asking
    why:      the reason for that, where the connector gives none
    meant:    an administrator wants what answers to be taken as it is; it is, if the read before told what is odd of it
    sources:  all that are configured
    """
    reading = Reading(source_name, meant=meant, sources=sources)
    with state.write() as connection:
        attempt = connection.begin_nested()
        outcome = reading.take(connection, events)
        outcome = replace(outcome, note=outcome.note or why)
        if outcome.counts:
            attempt.commit()
        else:
            attempt.rollback()
            reading.forget(connection)
            outcome = replace(outcome, changed=0, gone=0)
        _record(connection, outcome, reading, fingerprint, full_due=full_due)
    return outcome


def _record(
    connection: Connection, outcome: SourceOutcome, reading: Reading, fingerprint: str, *, full_due: bool
) -> None:
    now = datetime.now(UTC)
    row: dict[str, object] = {
        "name": outcome.source,
        "read_number": reading.number,
        "server": outcome.server,
        "last_read_at": now,
        "completeness": outcome.completeness.value,
        "reason": outcome.reason,
        "note": outcome.note,
        "unreadable": len(outcome.unreadable),
    }
    # Without one, the checkpoint from before a PARTIAL read still tells which directory was read.
    if outcome.counts and (reading.checkpoint is not None or outcome.completeness is Completeness.COMPLETE):
        row |= {
            "checkpoint": reading.checkpoint.token if reading.checkpoint else None,
            "fingerprint": fingerprint,
        }
    if (outcome.completeness is Completeness.COMPLETE and outcome.counts and not outcome.emptied) or not _is_known(
        connection, outcome.source
    ):
        row["fresh_at"] = now
    if outcome.reads_everything:
        row |= {"last_complete_at": now, "owes_full": outcome.again}
    elif full_due or outcome.asks_for_full:
        # It also keeps a checkpoint from being gone on from that a PARTIAL read has left.
        row["owes_full"] = True
    upsert(connection, source, [row])


def _is_known(connection: Connection, source_name: str) -> bool:
    return connection.execute(select(source.c.name).where(source.c.name == source_name)).first() is not None
