"""Going on from where the last read ended: what DirSync and uSNChanged have in common.

Both number the changes of one database, that of one domain controller. Neither says anything

* of the groups that held a deleted entry: they have simply lost it;
* of the entries below a container that was renamed or moved: see connectors/ldap/containers.py;
* of an account that expires, or is unlocked, by the passing of time.

Whether deleted entries are told of depends on the account: the container of the deleted objects is open to
administrators only. To an account to which no tombstone is shown every entry there is is listed instead, whenever
something changed, and what is not on the list is gone. Once a day that is done for everybody: that one tombstone is
shown does not prove that all are. And it is done in every read if a filter depends on what is never told. The list
also shows whether an entry hides by now what its changes are told by.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.active_directory.landmarks import USN, Whereabouts
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.notices import Notice, Notices, settle
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.sight import Sight
from connectors.active_directory.standing import Knowledge, Standing
from connectors.active_directory.witnesses import NUMBER
from connectors.base import ReadEvent
from connectors.errors import ChangesUntold, CheckpointRefused
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

_LOOKED_AT, _LISTED_AT = "looked at", "listed at"
# Tombstones are kept for 60 days, or longer (tombstoneLifetime); whoever was away nearly as long may have missed some.
_TOMBSTONES_LAST = timedelta(days=50)
_A_WHILE = timedelta(days=1)


class NoticeSource(Protocol):
    """One way of being told what changed. Its part of a position is opaque to others."""

    @property
    def name(self) -> str:
        """What the checkpoint remembers it by, and people read."""

    def begin(self) -> Mapping[str, str]:
        """Return its part of the position before a full read. Raises ReadInterrupted when it cannot be done here."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The attribute types without which changes of an entry are not told."""

    def refuse(self, since: Position) -> None:
        """Raise CheckpointRefused if this position cannot be relied upon, whatever changed since."""

    def notices(self, since: Position) -> tuple[Notices, Mapping[str, str]]:
        """Return what changed since, by objectGUID, and its part of the next position. Raises CheckpointRefused."""


class Increments:
    """A change detection that is told what changed."""

    def __init__(
        self,
        source: NoticeSource,
        session: ActiveDirectorySession,
        look_up: LookUp,
        whereabouts: Whereabouts,
        standing: Standing,
        sight: Sight,
    ) -> None:
        self._source = source
        self._session = session
        self._look_up = look_up
        self._whereabouts = whereabouts
        self._standing = standing
        self._sight = sight
        self._begun: Position = {}
        self._untold = ""  # which entry's changes would not be told, and why
        self._now = datetime.now(UTC)

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def attributes(self) -> frozenset[str]:
        """The number of the last change, and what the source goes by."""
        return frozenset({NUMBER, *map(str.lower, self._source.needed)})

    def begin(self) -> None:
        """Note where the database stands."""
        self._begun = self._position(self._source.begin(), listed_at=self._now)

    def observe(self, found: Found) -> None:
        """Notice an entry whose changes would not be told: a right may have gone."""
        hidden = [name for name in self._source.needed if not found.attributes.get(name.lower())]
        if hidden and not self._untold:
            self._untold = f"{found.dn} does not show its {hidden[0]}, so its changes would not be noticed"

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Catch up: what changed during the read may have been missed where it was and where it is."""
        self._refuse_what_is_untold()
        notices, reached = self._source.notices(self._begun)
        yield from settle(notices, self._look_up, self._evidence)
        return self._position(reached, listed_at=self._now)

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask, unless the database is as it was."""
        del landmarks
        self._compare()
        self._source.refuse(since)
        looked_at, listed_at = (datetime.fromisoformat(since[key]) for key in (_LOOKED_AT, _LISTED_AT))
        if self._now - looked_at > _TOMBSTONES_LAST:
            raise CheckpointRefused(
                f"the last read was {(self._now - looked_at).days} days ago, and what was deleted since may be "
                "forgotten"
            )
        told = self._look_up.filter_changes_are_told
        if told and str(self._whereabouts.usn) == since[USN]:
            return (yield from self._by_time(since, looked_at))
        notices, reached = self._source.notices(since)
        for anchor in self._look_up.changed_by_time(looked_at, self._now):
            notices.setdefault(anchor, Notice(whole=True))
        others = yield from settle(notices, self._look_up, self._evidence)
        due = abs(self._now - listed_at) > _A_WHILE
        lists_all = not told or due or not self._sight.sees_tombstones(self._whereabouts.context)
        if lists_all:
            yield from self._look_up.everything(self)
            self._refuse_what_is_untold()
            # Who moved in the meantime may have been missed by the list where they were and where they are.
            later, reached = self._source.notices(self._position(reached, listed_at=self._now))
            others |= yield from settle(later, self._look_up, self._evidence)
        position = self._position(reached, listed_at=self._now if lists_all else listed_at)
        return Progress(position, news=others, lists_all=lists_all)

    def _refuse_what_is_untold(self) -> None:
        if self._untold:
            raise ChangesUntold(self._untold)

    def _compare(self) -> None:
        """Raise CheckpointRefused unless this is the database of the last read, and knows all that was read."""
        knowledge = self._standing.compare()
        if knowledge is Knowledge.LESS:
            raise CheckpointRefused(f"{self._session.url} knows of fewer changes than were read", behind=True)
        if not self._standing.same_database:
            raise CheckpointRefused(
                f"{self._session.url} is another domain controller than last time, or its database was restored"
            )
        if knowledge is Knowledge.UNPROVEN:
            raise CheckpointRefused(
                "some of the entries that had changed last cannot be seen any more, so it is not proven that the "
                f"database of {self._session.url} was not put back"
            )

    def _by_time(self, since: Position, looked_at: datetime) -> Generator[ReadEvent, None, Progress]:
        notices = {anchor: Notice(whole=True) for anchor in self._look_up.changed_by_time(looked_at, self._now)}
        yield from settle(notices, self._look_up, self._evidence)
        if self._look_up.time_matters or abs(self._now - looked_at) > _A_WHILE:
            since = {**since, _LOOKED_AT: self._now.isoformat()}
        return Progress(since, news=False, lists_all=False)

    def _position(self, reached: Mapping[str, str], *, listed_at: datetime) -> Position:
        return {
            USN: str(self._whereabouts.usn),
            _LOOKED_AT: self._now.isoformat(),
            _LISTED_AT: listed_at.isoformat(),
            **reached,
        }

    @property
    def _evidence(self) -> str:
        return f"{self._session.url} ({self.name})"
