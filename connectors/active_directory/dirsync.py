"""Change detection by DirSync (MS-ADTS 3.1.1.3.4.1.3).

The domain controller tells which attributes of which entries changed since its cookie, and which values of a member
list, for a whole naming context: whatever lies outside the bases and filters included.

It says nothing of the groups that an entry was taken back into when it was restored from the deleted objects: then
only a full read tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from connectors.active_directory.entries import GUID, MEMBER, member_name, read_guid
from connectors.active_directory.landmarks import Whereabouts
from connectors.active_directory.lookup import LookUp, is_tombstone
from connectors.active_directory.notices import Notice, Notices
from connectors.active_directory.session import OBJECT_SECURITY, ActiveDirectorySession, NoRight, Part
from connectors.distinguished_name import DistinguishedNameError
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position
from connectors.ldap.found import Found

_COOKIE, _RIGHT, _TOMBSTONES = "cookie", "right", "tombstones"
_SEEN, _HIDDEN = "seen", "hidden"
_FULL_RIGHT, _OWN_EYES = "replicating directory changes", "own eyes"
_DELETED = "(isDeleted=TRUE)"
_EVERYTHING = "(objectClass=*)"
# They come when an entry is new, has another name or another place, or was deleted or restored.
_SIGNS = ("objectclass", "name", "isdeleted")
_PARTS_WITHOUT_NEWS = 1000  # in a row: each may be what is left of many entries, and of most nothing is
_ADDED, _REMOVED = f"{MEMBER};range=1-1", f"{MEMBER};range=0-0"


class DirSync:
    """Asks the domain controller what changed since its cookie."""

    name = "DirSync"

    def __init__(self, session: ActiveDirectorySession, look_up: LookUp, whereabouts: Whereabouts) -> None:
        self._session = session
        self._look_up = look_up
        self._whereabouts = whereabouts

    def begin(self) -> Mapping[str, str]:
        """Take a cookie, with the right to replicate changes or else for what the account itself may see."""
        try:
            return self._first(_FULL_RIGHT)
        except NoRight:
            return self._first(_OWN_EYES)

    def observe(self, found: Found) -> bool:
        """The cookie tells of every entry."""
        del found
        return True

    def sees_tombstones(self, since: Position) -> bool:
        """With the right to replicate, it stays as it was; with the account's own eyes, look."""
        if since[_RIGHT] == _OWN_EYES:
            return self._look_up.sees_tombstones()
        return since[_TOMBSTONES] == _SEEN

    def _first(self, right: str) -> dict[str, str]:
        """Ask for everything that is deleted: whether any of it comes shows whether deletions are told."""
        cookie, tombstones = b"", _HIDDEN
        # An entry comes only if an attribute that is asked for has changed, and the objectGUID alone never has.
        for part in self._parts(_DELETED, [GUID, "isDeleted"], cookie, _flags(right)):
            cookie = part.cookie
            if any(is_tombstone(found.dn) for found in part.found):
                tombstones = _SEEN
        return {_COOKIE: cookie.hex(), _RIGHT: right, _TOMBSTONES: tombstones}

    def notices(self, since: Position) -> tuple[Notices, Mapping[str, str]]:
        """Collect every part of the answer: only the last one is the whole of it."""
        notices: Notices = {}
        cookie, flags = bytes.fromhex(since[_COOKIE]), _flags(since[_RIGHT])
        wanted = sorted({*self._look_up.attributes, MEMBER, *_SIGNS, GUID})
        for part in self._parts(_EVERYTHING, wanted, cookie, flags):
            cookie = part.cookie
            for found in part.found:
                anchor = read_guid(found.attributes.get(GUID, ()))
                if anchor is None:
                    raise CheckpointRefused(f"{self._session.url} reports a change without saying of what")
                _take_note(notices.setdefault(anchor, Notice()), found)
        return notices, {_COOKIE: cookie.hex(), _RIGHT: since[_RIGHT], _TOMBSTONES: since[_TOMBSTONES]}

    def _parts(self, search_filter: str, attributes: Sequence[str], cookie: bytes, flags: int) -> Iterator[Part]:
        """Yield all parts of an answer. Raises CheckpointRefused when they lead nowhere."""
        without_news = 0
        known: set[bytes] = set()
        while True:
            part = self._session.synchronise_part(self._whereabouts.context, search_filter, attributes, cookie, flags)
            yield part
            if not part.more:
                return
            if part.cookie == cookie:
                raise CheckpointRefused(f"{self._session.url} says that more changes follow, and does not go on")
            cookie = part.cookie
            reported = {b"".join(found.attributes.get(GUID, ())) for found in part.found}
            without_news = without_news + 1 if reported <= known else 0
            known |= reported
            if without_news > _PARTS_WITHOUT_NEWS:
                raise CheckpointRefused(
                    f"{self._session.url} sent {without_news} parts without news and without an end"
                )


def _flags(right: str) -> int:
    return OBJECT_SECURITY if right == _OWN_EYES else 0


def _take_note(notice: Notice, found: Found) -> None:
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
