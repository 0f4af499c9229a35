"""The last resort: nothing tells what changed, so every read is full."""

from __future__ import annotations

from collections.abc import Generator

from connectors.base import ReadEvent
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

WHY = "why"


class EveryReadFull:
    """Its checkpoint remembers which directory was read, so that another one is noticed, and why nothing tells."""

    name = "full"
    attributes: frozenset[str] = frozenset()

    def begin(self) -> None:
        """There is nothing to note."""

    def observe(self, found: Found) -> None:
        """Nothing is learnt."""

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """There is nothing to catch up with."""
        yield from ()
        return {}

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """Nothing tells before everything has been read."""
        del since, landmarks
        return False

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask for a full read, without more ado."""
        del landmarks
        yield from ()
        raise CheckpointRefused(since.get(WHY, ""))
