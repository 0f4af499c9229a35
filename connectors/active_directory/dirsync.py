"""Change detection by DirSync (MS-ADTS 3.1.1.3.4.1.3).

The domain controller tells which attributes of which entries changed since its cookie, and which values of a member
list. It says nothing

* of the groups that held a deleted entry: they have simply lost it;
* of the entries below a container that was renamed or moved: see connectors/ldap/containers.py;
* of the groups that an entry was taken back into when it was restored from the deleted objects: then only a full read
  tells.

Whether it tells of deleted entries depends on the account: the container of the deleted objects is open to
administrators only. To an account to which no tombstone is shown every entry there is is listed instead, whenever
something changed, and what is not on the list is gone.

It covers a whole naming context, whatever lies outside the bases and filters included. So an answer is taken as a
notice, and what it names is looked up; but the members of a group, which may be many, are taken from it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice

from connectors.active_directory.entries import GUID, MEMBER, member_name
from connectors.active_directory.landmarks import CONTROLLER, USN, Whereabouts
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.session import OBJECT_SECURITY, ActiveDirectorySession, NoRight
from connectors.base import EntryDeleted, EntryFound, MembersChanged, Name, ReadEvent
from connectors.distinguished_name import DistinguishedNameError
from connectors.entries import read_anchor
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.landmarks import Landmarks

_COOKIE, _RIGHT, _TOMBSTONES = "cookie", "right", "tombstones"
_SEEN, _HIDDEN = "seen", "hidden"
_FULL_RIGHT, _OWN_EYES = "replicating directory changes", "own eyes"
_DELETED = "(isDeleted=TRUE)"
_TOMBSTONE = "\\0ADEL:"  # in the name of what is deleted, but not in that of the container (MS-ADTS 3.1.1.5.5.1.1)
_EVERYTHING = "(objectClass=*)"
# They come when an entry is new, has another name or another place, or was deleted or restored.
_SIGNS = ("objectclass", "name", "isdeleted")
_ADDED, _REMOVED = f"{MEMBER};range=1-1", f"{MEMBER};range=0-0"
_TOGETHER = 100  # entries looked up in one search


@dataclass(slots=True)
class _Notice:
    """What an answer said of one entry.

    whole:   more may have changed than the answer brings
    added, removed:  values of its member list
    """

    whole: bool = False
    deleted: bool = False
    added: set[Name] = field(default_factory=set)
    removed: set[Name] = field(default_factory=set)


class DirSync:
    """Asks the domain controller what changed since its cookie."""

    name = "DirSync"
    attributes: frozenset[str] = frozenset()

    def __init__(self, session: ActiveDirectorySession, look_up: LookUp, whereabouts: Whereabouts) -> None:
        self._session = session
        self._look_up = look_up
        self._whereabouts = whereabouts
        self._begun: dict[str, str] = {}

    def begin(self) -> None:
        """Take a cookie, with the right to replicate changes or else for what the account itself may see."""
        try:
            self._begun = self._first(_FULL_RIGHT)
        except NoRight:
            self._begun = self._first(_OWN_EYES)

    def observe(self, found: Found) -> None:
        """The cookie tells everything."""

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Catch up: what changed during the read may have been missed where it was and where it is."""
        progress = yield from self._changes(self._begun | {_TOMBSTONES: _SEEN})
        return {**progress.position, _TOMBSTONES: self._begun[_TOMBSTONES]}

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """The same database has never given so high a number."""
        del landmarks
        return since.get(CONTROLLER) == self._whereabouts.controller and self._whereabouts.usn < int(since[USN])

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask, unless the database is as it was."""
        if since.get(CONTROLLER) != self._whereabouts.controller:
            raise CheckpointRefused(
                f"{self._session.url} is another domain controller than last time, or its database was restored"
            )
        if self.behind(since, landmarks):
            raise CheckpointRefused(f"{self._session.url} counts fewer changes than were read", behind=True)
        if str(self._whereabouts.usn) == since[USN]:
            yield from ()
            return Progress(since, news=False, lists_all=False)
        return (yield from self._changes(since))

    def _first(self, right: str) -> dict[str, str]:
        """Ask for everything that is deleted: whether any of it comes shows whether deletions are told."""
        cookie, more, tombstones = b"", True, _HIDDEN
        while more:
            part = self._session.synchronise_part(self._whereabouts.context, _DELETED, [GUID], cookie, _flags(right))
            cookie, more = part.cookie, part.more
            if any(_TOMBSTONE in found.dn.upper() for found in part.found):
                tombstones = _SEEN
        return self._position(cookie, right, tombstones)

    def _position(self, cookie: bytes, right: str, tombstones: str) -> dict[str, str]:
        return {
            _TOMBSTONES: tombstones,
            CONTROLLER: self._whereabouts.controller,
            USN: str(self._whereabouts.usn),
            _COOKIE: cookie.hex(),
            _RIGHT: right,
        }

    def _changes(self, since: Position) -> Generator[ReadEvent, None, Progress]:
        notices, cookie = self._notices(bytes.fromhex(since[_COOKIE]), since[_RIGHT])
        containers = False
        anchors = iter(notices)
        while some := {anchor: notices[anchor] for anchor in islice(anchors, _TOGETHER)}:
            containers |= yield from self._events(some)
        hidden = since[_TOMBSTONES] == _HIDDEN
        if hidden:
            yield from self._look_up.everything()
        position = self._position(cookie, since[_RIGHT], since[_TOMBSTONES])
        return Progress(position, news=containers, lists_all=hidden)

    def _notices(self, cookie: bytes, right: str) -> tuple[dict[str, _Notice], bytes]:
        """Collect every part of the answer: only the last one is the whole of it."""
        notices: dict[str, _Notice] = {}
        wanted = sorted({*self._look_up.attributes, MEMBER, *_SIGNS, GUID})
        more = True
        while more:
            part = self._session.synchronise_part(self._whereabouts.context, _EVERYTHING, wanted, cookie, _flags(right))
            for found in part.found:
                anchor = read_anchor(found.attributes.get(GUID, ()))
                if anchor is None:
                    raise CheckpointRefused(f"{self._session.url} reports a change without saying of what")
                _take_note(notices.setdefault(anchor, _Notice()), found)
            cookie, more = part.cookie, part.more
        return notices, cookie

    def _events(self, notices: dict[str, _Notice]) -> Generator[ReadEvent, None, bool]:
        """Yield what some notices come to; return whether anything but people and groups is among them."""
        missing = dict(notices)
        for whole in (True, False):
            anchors = [anchor for anchor, notice in notices.items() if notice.whole is whole and not notice.deleted]
            for event in self._look_up.wanted(anchors, with_lists=whole):
                anchor = self._look_up.anchor_of(event)
                notice = missing.pop(anchor, None)
                yield event
                if notice is not None and not whole and isinstance(event, EntryFound):
                    yield from _members_changed(anchor, notice)
        outside = self._look_up.outside([anchor for anchor, notice in missing.items() if not notice.deleted])
        for anchor, notice in missing.items():
            if notice.deleted:
                yield EntryDeleted(anchor, f"{self._session.url} shows its tombstone (DirSync)", from_groups=True)
            elif anchor in outside:
                yield EntryDeleted(anchor, f"{self._session.url} shows that it no longer answers to base and filter")
        return any(outside.values())


def _flags(right: str) -> int:
    return OBJECT_SECURITY if right == _OWN_EYES else 0


def _take_note(notice: _Notice, found: Found) -> None:
    attributes = found.attributes
    deleted = attributes.get("isdeleted")
    if deleted is not None:
        notice.deleted = list(deleted) == [b"TRUE"]
        if not notice.deleted:
            raise CheckpointRefused(f"{found.dn} was restored from the deleted objects, perhaps with its groups")
    notice.whole = notice.whole or any(sign in attributes for sign in _SIGNS)
    for key, values in attributes.items():
        if key.partition(";")[0] != MEMBER:
            continue
        try:
            names = {member_name(value) for value in values}
        except (ValueError, DistinguishedNameError):
            names = set()
            notice.whole = True
        if key == _ADDED:
            notice.added |= names
            notice.removed -= names
        elif key == _REMOVED:
            notice.removed |= names
            notice.added -= names
        else:
            notice.whole = True


def _members_changed(anchor: str, notice: _Notice) -> Iterator[MembersChanged]:
    if notice.added or notice.removed:
        yield MembersChanged(anchor, frozenset(notice.added), frozenset(notice.removed))
