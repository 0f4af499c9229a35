"""From what a search found to the events of the contract, with every doubt that arises on the way."""

from __future__ import annotations

from typing import Protocol

from connectors.base import EntryFound, EntryUnreadable
from connectors.entries import RawAttributes, cut_lists
from connectors.ldap.found import ContinuationReference, Found
from connectors.ldap.settings import DirectorySettings


class Reader(Protocol):
    """Understands the entries of one source, as connectors.entries.EntryReader does."""

    @property
    def needed(self) -> frozenset[str]:
        """Every attribute type to ask the source for, the members of groups among them."""

    def understand(self, dn: str, attributes: RawAttributes) -> EntryFound | EntryUnreadable | None:
        """Return the entry, the reason why it cannot be understood, or None for what is neither user nor group."""

    def unknown(self, dn: str, attributes: RawAttributes) -> EntryUnreadable:
        """Tell of an entry that was asked for and is neither user nor group."""


class Interpretation:
    """Understands one read. `doubts` is why it is not COMPLETE; empty, as far as entries go, it is."""

    def __init__(
        self, settings: DirectorySettings, reader: Reader, url: str, *, doubts: list[str] | None = None
    ) -> None:
        self.doubts: list[str] = [] if doubts is None else doubts
        self._settings = settings
        self._reader = reader
        self._url = url

    @property
    def attributes(self) -> list[str]:
        """What to ask for."""
        return sorted(self._reader.needed)

    def event(self, found: Found) -> EntryFound | EntryUnreadable:
        """Return the entry, or why it cannot be understood."""
        event = self._reader.understand(found.dn, found.attributes) or self._reader.unknown(found.dn, found.attributes)
        if found.cut:
            self.doubts.append(f"the values of {found.dn} could not all be fetched from {self._url}: {found.cut}")
        elif cut := cut_lists(found.attributes):
            self.doubts.append(
                f"{self._url} sent only a part of the members of {found.dn} ({cut[0]}). Raise the server's "
                "limit of values in one answer."
            )
        if isinstance(event, EntryUnreadable) and event.anchor is None:
            self.doubts.append(f"{event.dn}: {event.reason}")
        return event

    @staticmethod
    def anchor_of(event: EntryFound | EntryUnreadable) -> str | None:
        """Return whose event it is, as far as that is known."""
        return event.entry.anchor if isinstance(event, EntryFound) else event.anchor

    def refer(self, reference: ContinuationReference, base: str) -> None:
        """Take note that part of the tree is elsewhere."""
        if self._settings.continuation_references == "partial":
            self.doubts.append(
                f"part of {base} is held by another server ({', '.join(reference.urls)}) and was not read. Add "
                'it as a source, or set continuation_references = "ignore" if nobody is there.'
            )

    def told(self) -> str:
        """Return the doubts as the reason of a PARTIAL read; empty when there is none."""
        if not self.doubts:
            return ""
        more = f" And {len(self.doubts) - 1} more of this kind." if len(self.doubts) > 1 else ""
        return f"source {self._settings.name}: {self.doubts[0]}{more} What was not read stays as it was."
