"""How one read went, and what may be concluded from it."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.base import Completeness, Extent


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one read went.

    emptied:     it claims that a source which held people or groups now holds none
    again:       the next read has to be FULL, too
    needs_full:  why what it brought cannot be relied upon without a FULL read; empty: it can
    lists_all:   it mentioned every entry there is
    position:    how far it came, in the connector's words
    """

    source: str
    extent: Extent
    completeness: Completeness
    reason: str
    server: str
    note: str = ""
    seen: int = 0
    changed: int = 0
    gone: int = 0
    unreadable: tuple[str, ...] = ()
    emptied: bool = False
    needs_full: str = ""
    again: bool = False
    lists_all: bool = False
    position: str = ""

    @property
    def proves_absence(self) -> bool:
        """Only a COMPLETE read that mentions every entry says anything about what it does not mention."""
        return self.lists_all and self.completeness is Completeness.COMPLETE and not self.emptied

    @property
    def counts(self) -> bool:
        """Whether anything of it is taken over, and with it the checkpoint."""
        return self.completeness is not Completeness.FAILED and not self.needs_full

    @property
    def asks_for_full(self) -> bool:
        """Only a FULL read gets past it.

        An increment that is PARTIAL may be so for ever. A FULL one that is PARTIAL may have taken out of whole lists
        what an older server did not know, and no increment tells of that again.
        """
        return self.completeness is Completeness.PARTIAL or self.emptied or self.again or self.needs_full != ""

    @property
    def reads_everything(self) -> bool:
        """FULL and COMPLETE: it brought the content of every entry, too."""
        return self.extent is Extent.FULL and self.proves_absence
