"""The full read: every user and every group below the bases, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from connectors.base import ReadEvent
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings


class Observer(Protocol):
    """Whoever wants to see every entry that is read."""

    @property
    def attributes(self) -> frozenset[str]:
        """What to ask for besides."""

    def observe(self, found: Found) -> None:
        """Look at an entry."""


def full_read(
    session: Session,
    settings: DirectorySettings,
    interpretation: Interpretation,
    shown: set[str],
    *observers: Observer,
) -> Iterator[ReadEvent]:
    """Yield every entry, people before groups. `shown` takes the bases below which there is any.

    Returning normally means success on every page of every search and every base found. Raises ReadInterrupted.
    """
    attributes = sorted(set(interpretation.attributes).union(*(observer.attributes for observer in observers)))
    searches = [(base, settings.people) for base in settings.user_bases]
    searches += [(base, settings.group_filter) for base in settings.group_bases]
    for base, search_filter in searches:
        for found in session.search(base, search_filter, attributes):
            if not isinstance(found, Found):
                interpretation.refer(found, base)
                continue
            shown.add(base)
            for observer in observers:
                observer.observe(found)
            yield interpretation.event(found)
