"""Going on from where the last read ended: what DirSync and uSNChanged have in common.

Both number the changes of one database, that of one domain controller. Neither says anything

* of the groups that held a deleted entry: they have simply lost it;
* of the entries below a container that was renamed or moved: see connectors/ldap/containers.py;
* of an account that expires, or is unlocked, by the passing of time.

Whether deleted entries are told of depends on the account: the container of the deleted objects is open to
administrators only. To an account to which no tombstone is shown every entry there is is listed instead, whenever
something changed, and what is not on the list is gone.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from connectors.active_directory.landmarks import CONTROLLER, USN, Whereabouts
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.notices import Notice, Notices, settle
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.witnesses import NUMBER, Witnesses
from connectors.base import ReadEvent
from connectors.errors import CheckpointRefused, ReadInterrupted
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

_READ_AT, _WITNESSES = "read at", "witnesses"
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

    def observe(self, found: Found) -> bool:
        """Tell whether changes of this entry will be told."""

    def notices(self, since: Position) -> tuple[Notices, Mapping[str, str]]:
        """Return what changed since, by objectGUID, and its part of the next position. Raises CheckpointRefused."""

    def sees_tombstones(self, since: Position) -> bool:
        """Tell whether those notices had every deletion among them."""


class Increments:
    """A change detection that is told what changed."""

    def __init__(
        self,
        source: NoticeSource,
        session: ActiveDirectorySession,
        look_up: LookUp,
        whereabouts: Whereabouts,
        replication_delay: timedelta,
    ) -> None:
        self._source = source
        self._session = session
        self._look_up = look_up
        self._whereabouts = whereabouts
        self._replication_delay = replication_delay
        self._witnesses = look_up.witnesses
        self._begun: Position = {}
        self._untold = False
        self._now = datetime.now(UTC)

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def attributes(self) -> frozenset[str]:
        """The number by which an entry is a witness."""
        return frozenset({NUMBER})

    def begin(self) -> None:
        """Note where the database stands."""
        self._begun = self._position(self._source.begin())

    def observe(self, found: Found) -> None:
        """Notice an entry whose changes would not be told."""
        self._untold = self._untold or not self._source.observe(found)
        self._witnesses.observe(found)

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Catch up: what changed during the read may have been missed where it was and where it is."""
        if self._untold:
            raise CheckpointRefused("an entry does not show its uSNChanged, so its changes would not be noticed")
        notices, reached = self._source.notices(self._begun)
        yield from settle(notices, self._look_up, self._evidence)
        return self._position(reached)

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """Tell whether this database is an older copy of itself, or another that has not received what was read.

        The numbers of a controller that is gone for ever may include a last one of no interest to others. So what
        another has not received is waited for, for a time; and so is one that does not tell, by ReadInterrupted.
        """
        del landmarks
        if since.get(CONTROLLER) == self._whereabouts.controller:
            return self._whereabouts.usn < int(since[USN]) or (
                self._whereabouts.usn != int(since[USN]) and self._look_up.any_contradicts(Witnesses(since[_WITNESSES]))
            )
        until = datetime.fromisoformat(since[_READ_AT]) + self._replication_delay
        if self._whereabouts.caught_up or self._now >= until:
            return False
        if self._whereabouts.caught_up is False:
            return True
        raise ReadInterrupted(
            f"{self._session.url} is another domain controller than last time, or was restored, and does not show "
            f"(replUpToDateVector of {self._whereabouts.context}) whether it knows all that was read. From "
            f"{until:%H:%M} UTC on (replication_delay) it is read in full; to read it at once, run rollcall sync "
            "--full. Nothing is removed."
        )

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask, unless the database is as it was."""
        if self.behind(since, landmarks):
            raise CheckpointRefused(f"{self._session.url} knows of fewer changes than were read", behind=True)
        if since.get(CONTROLLER) != self._whereabouts.controller:
            raise CheckpointRefused(
                f"{self._session.url} is another domain controller than last time, or its database was restored"
            )
        read_at = datetime.fromisoformat(since[_READ_AT])
        if self._now - read_at > _TOMBSTONES_LAST:
            raise CheckpointRefused(
                f"the last read was {(self._now - read_at).days} days ago, and what was deleted since may be forgotten"
            )
        if str(self._whereabouts.usn) == since[USN]:
            return (yield from self._by_time(since, read_at))
        self._witnesses.recall(since[_WITNESSES])
        notices, reached = self._source.notices(since)
        for anchor in self._look_up.changed_by_time(read_at, self._now):
            notices.setdefault(anchor, Notice(whole=True))
        others = yield from settle(notices, self._look_up, self._evidence)
        hidden = not self._source.sees_tombstones(since)
        if hidden:
            yield from self._look_up.everything()
        return Progress(self._position(reached), news=others, lists_all=hidden)

    def _by_time(self, since: Position, read_at: datetime) -> Generator[ReadEvent, None, Progress]:
        notices = {anchor: Notice(whole=True) for anchor in self._look_up.changed_by_time(read_at, self._now)}
        yield from settle(notices, self._look_up, self._evidence)
        if self._look_up.time_matters or self._now - read_at > _A_WHILE:
            since = {**since, _READ_AT: self._now.isoformat()}
        return Progress(since, news=False, lists_all=False)

    def _position(self, reached: Mapping[str, str]) -> Position:
        return {
            CONTROLLER: self._whereabouts.controller,
            USN: str(self._whereabouts.usn),
            _READ_AT: self._now.isoformat(),
            **reached,
            _WITNESSES: str(self._witnesses),
        }

    @property
    def _evidence(self) -> str:
        return f"{self._session.url} ({self.name})"
