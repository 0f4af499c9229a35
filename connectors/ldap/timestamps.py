"""Change detection by modifyTimestamp (RFC 4512, 3.4.2), for servers without anything better.

Timestamps are the server's, have a resolution of one second, come late from other masters, and never tell of a
deletion. So every read goes back by an overlap, and lists the anchors of all entries there are.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta

from connectors.base import ReadEvent
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.listing import list_entries
from connectors.ldap.session import Session
from connectors.ldap.settings import LdapSettings

_ATTRIBUTE = "modifytimestamp"
_NEWEST = "newest"
_TIME = "%Y%m%d%H%M%S"  # the first 14 digits of a GeneralizedTime (RFC 4517, 3.3.13)
_DIGITS = 14


class Timestamps:
    """Reads what was modified since the newest timestamp that had been seen when the last read began."""

    name = "timestamps"
    attributes = frozenset({_ATTRIBUTE})

    def __init__(self, session: Session, settings: LdapSettings, interpretation: Interpretation) -> None:
        self._session = session
        self._settings = settings
        self._interpretation = interpretation
        self._newest: datetime | None = None
        self._untold = False  # an entry shows no timestamp, so its changes would not be noticed
        self._began = time.monotonic()

    def begin(self) -> None:
        """Start the clock: what is modified during a read is not older than its newest entry less its duration."""
        self._began = time.monotonic()

    def observe(self, found: Found) -> None:
        """Remember the newest timestamp."""
        modified = _moment(b"".join(found.attributes.get(_ATTRIBUTE, ())))
        if modified is None:
            self._untold = True
        elif self._newest is None or modified > self._newest:
            self._newest = modified

    def finish(self) -> Generator[ReadEvent, None, Position | None]:
        """Nothing has to be caught up: what changed meanwhile lies within the next read's reach."""
        yield from ()
        if self._newest is None or self._untold:
            return None
        return {_NEWEST: self._reached(self._newest).strftime(_TIME)}

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """Nothing tells before everything has been read."""
        del since, landmarks
        return False

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Yield a list of all there is, then what was modified. The list first: a newcomer is in one or the other."""
        del landmarks
        newest = datetime.strptime(since[_NEWEST], _TIME).replace(tzinfo=UTC)
        self.begin()
        yield from list_entries(self._session, self._settings, self._interpretation)
        after = newest - timedelta(seconds=self._settings.timestamp_overlap)
        attributes = sorted({*self._interpretation.attributes, _ATTRIBUTE})
        for base, search_filter in self._settings.scopes.items():
            wanted = f"(&{search_filter}({_ATTRIBUTE}>={after.strftime(_TIME)}Z))"
            for found in self._session.search(base, wanted, attributes):
                if isinstance(found, Found):
                    self.observe(found)
                    yield self._interpretation.event(found)
                else:
                    self._interpretation.refer(found, base)
        if self._newest is None:
            # The entry with the newest timestamp should have been found again.
            raise CheckpointRefused("nothing is as new as what was read last time")
        reached = max(newest, self._reached(self._newest))
        return Progress({_NEWEST: reached.strftime(_TIME)}, news=True, lists_all=True)

    def _reached(self, newest: datetime) -> datetime:
        return newest - timedelta(seconds=1 + time.monotonic() - self._began)


def _moment(value: bytes) -> datetime | None:
    try:
        return datetime.strptime(value[:_DIGITS].decode("ascii"), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
