"""Change detection: how a read finds out what changed since the last one. Small strategies behind one interface.

    full read:         begin()  …every entry, each through observe()…  finish() → position
    incremental read:  changes(position) → the events, and the next position

What a strategy says is checked by whoever calls it: the checkpoint's directory, the containers and the sentinel are
not its business (connectors/ldap/reading.py).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.base import ReadEvent
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

Position = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """What an incremental read came to.

    position:   where the next one goes on
    news:       something changed in the directory, whether or not it concerns us
    lists_all:  every entry below every base was mentioned
    """

    position: Position
    news: bool
    lists_all: bool


class ChangeDetection(Protocol):
    """One way of finding out what changed."""

    @property
    def name(self) -> str:
        """What the checkpoint remembers it by, and people read."""

    @property
    def attributes(self) -> frozenset[str]:
        """What a full read has to ask for besides."""

    def begin(self) -> None:
        """Note where the server stands, before a full read. Raises ReadInterrupted when it cannot be done here."""

    def observe(self, found: Found) -> None:
        """Look at an entry of a full read."""

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Yield what changed while the full read went on, and return from where the next read can go on.

        Raises CheckpointRefused when the next read has to be full.
        """

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Yield what changed since a position.

        Raises CheckpointRefused when only a full read can tell, or the server knows less than was read.
        """
