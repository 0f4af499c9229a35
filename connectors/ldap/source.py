"""What every connector for a directory does alike: its fingerprint, one read, one check.

What differs from make to make comes in as functions that are given the open session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from connectors.base import (
    Checkpoint,
    Completeness,
    Extent,
    Finding,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    Wanted,
)
from connectors.errors import ReadInterrupted, SourceError
from connectors.ldap.checkpoint import FORMAT, unseal
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.opening import open_as
from connectors.ldap.reading import DirectoryRead, Make
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings

_Session = TypeVar("_Session", bound=Session)


def fingerprint_of(settings: DirectorySettings, wanted: Wanted) -> str:
    """Everything that decides what a read brings; servers and credentials do not."""
    described = settings.model_dump_json(exclude=set(settings.not_part_of_what_is_read))
    return hashlib.sha256(f"{FORMAT}{described}{sorted(wanted.attributes)}".encode()).hexdigest()


def read_source(
    settings: DirectorySettings,
    kind: type[_Session],
    prepare: Callable[[_Session], tuple[Interpretation, Make]],
    wanted: Wanted,
    since: Checkpoint | None,
) -> Iterator[ReadEvent]:
    """Yield what changed since the checkpoint, or everything."""
    past = unseal(since)
    extent = Extent.FULL if wanted.full or past is None else Extent.INCREMENTAL
    try:
        session = open_as(kind, settings)
    except SourceError as error:
        yield ReadStarted(extent, settings.place)
        yield ReadEnded(Completeness.FAILED, str(error))
        return
    try:
        yield ReadStarted(extent, session.url)
        interpretation, make = prepare(session)
        read = DirectoryRead(session, settings, interpretation, make)
        yield from read.events(past, full=wanted.full, again=wanted.again)
    finally:
        session.close()


def check_source(
    settings: DirectorySettings, kind: type[_Session], findings: Callable[[_Session, str], Iterator[Finding]]
) -> Iterator[Finding]:
    """Log on, and yield what `findings` finds out about the subject it is given."""
    subject = f"source {settings.name}"
    try:
        session = open_as(kind, settings)
    except SourceError as error:
        yield Finding(subject, ok=False, message=str(error))
        return
    try:
        who = settings.bind_dn or "anonymous"
        yield Finding(subject, ok=True, message=f"{session.url} answers and accepts {who}")
        yield from findings(session, subject)
    except ReadInterrupted as error:
        yield Finding(subject, ok=False, message=str(error))
    finally:
        session.close()
