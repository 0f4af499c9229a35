"""What a cycle reports while it runs, for whoever wants to show it."""

from __future__ import annotations


class Progress:
    """Shows nothing. A terminal overrides what it wants to show."""

    def reading(self, source: str, seen: int) -> None:
        """`seen` entries of a source have been read so far."""

    def planned(self, operations: dict[str, int]) -> None:
        """The plan stands, with so many operations of each verb; the push begins."""

    def pushed(self, verb: str, label: str, result: str) -> None:
        """One operation is finished."""
