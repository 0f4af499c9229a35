"""What a cycle reports while it runs, for whoever wants to show it."""

from __future__ import annotations


class Progress:
    """Shows nothing. A terminal overrides what it wants to show, a daemon whatever tells it that the cycle goes on."""

    def alive(self) -> None:
        """Something went forward: an entry was read, a request is about to be sent, or the upstream asked to wait."""

    def reading(self, source: str, seen: int) -> None:
        """`seen` entries of a source have been read so far."""

    def planned(self, operations: dict[str, int]) -> None:
        """The plan stands, with so many operations of each verb; the push begins."""

    def pushed(self, verb: str, label: str, result: str) -> None:
        """One operation is finished."""

    def throttled(self) -> None:
        """The upstream asked for patience (429, or 503 with a time)."""

    def waited(self, seconds: float) -> None:
        """Nothing was sent for so long because of that."""
