"""The cheap listing: nothing but the anchor of every entry there is, to find out who is there no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from connectors.base import EntriesListed
from connectors.entries import read_anchor
from connectors.ldap.found import Found
from connectors.ldap.full_read import Observer
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings

_TOGETHER = 500


def list_entries(
    session: Session,
    settings: DirectorySettings,
    interpretation: Interpretation,
    read: Callable[[Sequence[bytes]], str | None] = read_anchor,
    observer: Observer | None = None,
) -> Iterator[EntriesListed]:
    """Yield the anchors of all people and groups, as `read` spells them. The observer sees each.

    Raises ReadInterrupted when it is not the whole list.
    """
    anchor_type = settings.anchor.lower()
    attributes = [settings.anchor, *(observer.attributes if observer is not None else ())]
    anchors: list[str] = []
    for base, search_filter in settings.scopes.items():
        for found in session.search(base, search_filter, attributes):
            if not isinstance(found, Found):
                interpretation.refer(found, base)
                continue
            if observer is not None:
                observer.observe(found)
            anchor = read(found.attributes.get(anchor_type, ()))
            if anchor is None:
                interpretation.doubts.append(f"{found.dn} has no {settings.anchor}, so it cannot be told from others.")
                continue
            anchors.append(anchor)
            if len(anchors) == _TOGETHER:
                yield EntriesListed(tuple(anchors))
                anchors = []
    if anchors:
        yield EntriesListed(tuple(anchors))
