"""The full read: every user and every group below the bases, page by page."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import ReadEvent
from connectors.ldap.detection import ChangeDetection
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings


def full_read(
    session: Session, settings: DirectorySettings, interpretation: Interpretation, detection: ChangeDetection
) -> Iterator[ReadEvent]:
    """Yield every entry, people before groups.

    Returning normally means success on every page of every search and every base found. Raises ReadInterrupted.
    """
    attributes = sorted({*interpretation.attributes, *detection.attributes})
    searches = [(base, settings.people) for base in settings.user_bases]
    searches += [(base, settings.group_filter) for base in settings.group_bases]
    for base, search_filter in searches:
        for found in session.search(base, search_filter, attributes):
            if not isinstance(found, Found):
                interpretation.refer(found, base)
                continue
            detection.observe(found)
            yield interpretation.event(found)
