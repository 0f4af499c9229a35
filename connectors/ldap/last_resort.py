"""The last resort: nothing tells what changed, so every read is full."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from connectors.base import EntriesListed, ReadEvent
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

WHY, _PASSED_OVER = "why", "passed over"


class EveryReadFull:
    """Its checkpoint remembers which directory was read, so that another one is noticed, and why nothing tells.

    everything:   lists the anchors of all entries below all bases
    passed_over:  the change detection by which changes would be missed, so that the next read begins with another
    """

    name = "full"
    attributes: frozenset[str] = frozenset()

    def __init__(
        self,
        everything: Callable[[], Iterator[EntriesListed]],
        why: str = "",
        passed_over: str = "",
    ) -> None:
        self._everything = everything
        self._position = {WHY: why} | ({_PASSED_OVER: passed_over} if passed_over else {})

    def begin(self) -> None:
        """There is nothing to note."""

    def observe(self, found: Found) -> None:
        """Nothing is learnt."""

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """List all there is: who moved while the read went on may have been missed where it was and where it is."""
        yield from self._everything()
        return self._position

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask for a full read, without more ado."""
        del landmarks
        yield from ()
        raise CheckpointRefused(since.get(WHY, ""))


def passed_over(since: Position) -> str:
    """Return the change detection that a position names so, whatever made it; empty when there is none."""
    return since.get(_PASSED_OVER, "")


def why_passed_over(name: str) -> str:
    """Tell why a read begins with another change detection than this one."""
    return f"{name} would miss changes of some entries"
