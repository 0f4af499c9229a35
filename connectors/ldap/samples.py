"""A few people and groups, to see what the account may read of them before anything depends on it.

What it may read of one it mostly may of all of this kind, and rights often differ between people and groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from connectors.ldap.found import Found
from connectors.ldap.session import MissingBase, Session
from connectors.ldap.settings import DirectorySettings

_A_FEW = 20  # in one page


def first_without(session: Session, settings: DirectorySettings, attribute: str) -> str:
    """Return the name of one that does not show the attribute; empty when all of them do. Raises ReadInterrupted."""
    found = (one for one in _some_of_each(session, settings, attribute) if not one.attributes.get(attribute.lower()))
    return next((one.dn for one in found), "")


def _some_of_each(session: Session, settings: DirectorySettings, attribute: str) -> Iterator[Found]:
    searches = [(base, settings.people) for base in settings.user_bases]
    searches += [(base, settings.group_filter) for base in settings.group_bases]
    for base, search_filter in searches:
        found = session.search(base, search_filter, [attribute], page_size=_A_FEW)
        try:
            yield from islice((one for one in found if isinstance(one, Found)), _A_FEW)
        except MissingBase:  # the read will say so itself
            continue
