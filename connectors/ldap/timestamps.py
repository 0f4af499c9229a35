"""Change detection by modifyTimestamp (RFC 4512, 3.4.2), for servers without anything better.

Timestamps are the server's, have a resolution of one second, come late from other masters, and never tell of a
deletion. So every read goes back by an overlap, and lists the anchors of all entries there are.

A server that lags, or was restored from a backup, shows by its entries: the newest of the last read are there with
an older timestamp. One that lies in the future would hide everything that is modified until then; where there is one,
every read is full.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta

from ldap3.utils.conv import escape_filter_chars

from connectors.base import ReadEvent
from connectors.entries import read_anchor
from connectors.errors import ChangesUntold, CheckpointRefused, ReadInterrupted
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.listing import list_entries
from connectors.ldap.samples import first_without
from connectors.ldap.session import Session
from connectors.ldap.settings import LdapSettings

_ATTRIBUTE = "modifytimestamp"
_NEWEST, _WITNESSES = "newest", "witnesses"
_WITNESSES_KEPT = 20
_FUTURE = timedelta(days=1)  # more than clocks differ
_TIME = "%Y%m%d%H%M%S"  # the first 14 digits of a GeneralizedTime (RFC 4517, 3.3.13)
_DIGITS = 14
_NO_TIMESTAMP = (
    "the account may not read modifyTimestamp of {dn}, so its changes would not be noticed. Let it read that attribute"
)
_UNTOLD = "an entry shows no timestamp, or one in the future"


class Timestamps:
    """Reads what was modified since the newest timestamp that had been seen when the last read began."""

    name = "timestamps"
    attributes = frozenset({"modifyTimestamp"})

    def __init__(self, session: Session, settings: LdapSettings, interpretation: Interpretation) -> None:
        self._session = session
        self._settings = settings
        self._interpretation = interpretation
        self._newest: datetime | None = None
        self._untold = False  # an entry shows no timestamp of its own time, so its changes would not be noticed
        self._latest: list[tuple[datetime, str]] = []  # the newest entries, as a heap: timestamp and anchor
        self._began = time.monotonic()

    def begin(self) -> None:
        """Start the clock: what is modified during a read is not older than its newest entry less its duration.

        A few entries show before whether a full read is worth being gone on from.
        """
        if untold := first_without(self._session, self._settings, _ATTRIBUTE):
            raise ReadInterrupted(_NO_TIMESTAMP.format(dn=untold))
        self._began = time.monotonic()

    def observe(self, found: Found) -> None:
        """Remember the newest timestamp."""
        modified = _moment(b"".join(found.attributes.get(_ATTRIBUTE, ())))
        if modified is None or modified > datetime.now(UTC) + _FUTURE:
            self._untold = True
            return
        if self._newest is None or modified > self._newest:
            self._newest = modified
        anchor = read_anchor(found.attributes.get(self._settings.anchor.lower(), ()))
        if anchor is not None and (modified, anchor) not in self._latest:
            keep = heapq.heappush if len(self._latest) < _WITNESSES_KEPT else heapq.heappushpop
            keep(self._latest, (modified, anchor))

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Catch up: an entry that was moved during the read may have been missed where it was and where it is."""
        if self._newest is None or self._untold:
            raise ChangesUntold(_UNTOLD)
        reached = self._reached(self._newest)
        yield from self._modified_since(reached)
        return self._position(reached)

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """Look at the entries that were the newest: one that is older now was not modified, it was put back."""
        del landmarks
        witnesses: dict[str, str] = json.loads(since.get(_WITNESSES, "{}"))
        if not witnesses:
            return False
        any_of_them = (
            f"(|{''.join(f'({self._settings.anchor}={escape_filter_chars(anchor)})' for anchor in witnesses)})"
        )
        for base in self._settings.scopes:
            for found in self._session.search(base, any_of_them, [self._settings.anchor, _ATTRIBUTE]):
                if not isinstance(found, Found):
                    continue
                anchor = read_anchor(found.attributes.get(self._settings.anchor.lower(), ()))
                modified = _moment(b"".join(found.attributes.get(_ATTRIBUTE, ())))
                if modified is not None and modified.strftime(_TIME) < witnesses.get(anchor or "", ""):
                    return True
        return False

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Yield a list of all there is, then what was modified. The list first: a newcomer is in one or the other."""
        if self.behind(since, landmarks):
            raise CheckpointRefused(f"{self._session.url} shows older content than was read", behind=True)
        self._latest = [
            (datetime.strptime(text, _TIME).replace(tzinfo=UTC), anchor)
            for anchor, text in json.loads(since.get(_WITNESSES, "{}")).items()
        ]
        heapq.heapify(self._latest)
        newest = datetime.strptime(since[_NEWEST], _TIME).replace(tzinfo=UTC)
        self._began = time.monotonic()
        yield from list_entries(self._session, self._settings, self._interpretation, observer=_EachStamped())
        yield from self._modified_since(newest - timedelta(seconds=self._settings.timestamp_overlap))
        if self._untold:
            raise ChangesUntold(_UNTOLD)
        if self._newest is None:
            # The entry with the newest timestamp should have been found again.
            raise CheckpointRefused("nothing is as new as what was read last time")
        reached = max(newest, self._reached(self._newest))
        return Progress(self._position(reached), news=True, lists_all=True)

    def _modified_since(self, moment: datetime) -> Iterator[ReadEvent]:
        attributes = sorted({*self._interpretation.attributes, _ATTRIBUTE})
        for base, search_filter in self._settings.scopes.items():
            wanted = f"(&{search_filter}({_ATTRIBUTE}>={moment.strftime(_TIME)}Z))"
            for found in self._session.search(base, wanted, attributes):
                if isinstance(found, Found):
                    self.observe(found)
                    yield self._interpretation.event(found)
                else:
                    self._interpretation.refer(found, base)

    def _position(self, reached: datetime) -> Position:
        witnesses = {anchor: modified.strftime(_TIME) for modified, anchor in sorted(self._latest)}
        return {_NEWEST: reached.strftime(_TIME), _WITNESSES: json.dumps(witnesses)}

    def _reached(self, newest: datetime) -> datetime:
        return newest - timedelta(seconds=1 + time.monotonic() - self._began)


class _EachStamped:
    """Looks at a list: the right to see the timestamp of some may have gone since the full read."""

    attributes = frozenset({_ATTRIBUTE})

    def observe(self, found: Found) -> None:
        """Refuse to go on without it."""
        if not found.attributes.get(_ATTRIBUTE):
            raise ChangesUntold(_NO_TIMESTAMP.format(dn=found.dn))


def _moment(value: bytes) -> datetime | None:
    try:
        return datetime.strptime(value[:_DIGITS].decode("ascii"), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
