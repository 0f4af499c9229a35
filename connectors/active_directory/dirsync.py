"""Change detection by DirSync (MS-ADTS 3.1.1.3.4.1.3).

The domain controller tells which attributes of which entries changed since its cookie, and which values of a member
list, for a whole naming context: whatever lies outside the bases and filters included.

It says nothing of the groups that an entry was taken back into when it was restored from the deleted objects: then
only a full read tells.

Without the right to replicate directory changes it can be asked for what the account may see
(LDAP_DIRSYNC_OBJECT_SECURITY). Windows then holds the rights of the account against each change. Samba reads with these
rights the uSNChanged and the replPropertyMetaData that it compares with the cookie, and leaves out without a word
whatever hides one of them; so nothing but Windows is asked. To an account with the right to replicate Samba does the
same (seen with 4.17.12). So there every entry has to show both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from connectors.active_directory.entries import GUID, MEMBER, member_names, read_guid
from connectors.active_directory.landmarks import Whereabouts
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.notices import Notice, Notices
from connectors.active_directory.session import OBJECT_SECURITY, ActiveDirectorySession, NoRight, Part
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.witnesses import U_S_N_CHANGED
from connectors.distinguished_name import DistinguishedNameError, domain_of, normalise
from connectors.errors import ChangesUntold, CheckpointRefused, ReadInterrupted
from connectors.ldap.detection import Position
from connectors.ldap.found import Found
from connectors.ldap.samples import first_without
from connectors.ldap.session import MissingBase

_COMPARED = "replPropertyMetaData"
_COOKIE, _RIGHT = "cookie", "right"
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

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        look_up: LookUp,
        whereabouts: Whereabouts,
    ) -> None:
        self._session = session
        self._settings = settings
        self._look_up = look_up
        self._whereabouts = whereabouts
        self._own_eyes = False

    def begin(self) -> Mapping[str, str]:
        """Take a cookie, with the right to replicate changes or else for what the account itself may see."""
        try:
            first = self._first(_FULL_RIGHT)
        except NoRight:
            self._own_eyes = True
            refuse_where_own_eyes_miss_changes(self._session, self._settings, self._whereabouts)
            return self._first(_OWN_EYES)
        refuse_where_changes_are_missed(self._session, self._settings, self._whereabouts)
        return first

    @property
    def needed(self) -> tuple[str, ...]:
        """What Samba reads with the rights of the account.

        Where its own eyes count on Windows, who hides the number from them may hide what DirSync goes by, too.
        """
        if not self._whereabouts.windows:
            return (U_S_N_CHANGED, _COMPARED)
        return (U_S_N_CHANGED,) if self._own_eyes else ()

    def refuse(self, since: Position) -> None:
        """Refuse a position of a time when any controller was asked for what the account may see.

        What is missing since then shows nowhere, whether or not anything has changed in the meantime.
        """
        if since[_RIGHT] == _OWN_EYES and not self._whereabouts.windows:
            raise CheckpointRefused(_told_too_little(self._whereabouts.context))

    def _first(self, right: str) -> dict[str, str]:
        """Ask for as little as can be: the cookie does not depend on the filter."""
        cookie = b""
        for part in self._parts(_DELETED, [GUID], cookie, _flags(right)):
            cookie = part.cookie
        return {_COOKIE: cookie.hex(), _RIGHT: right}

    def notices(self, since: Position) -> tuple[Notices, Mapping[str, str]]:
        """Collect every part of the answer: only the last one is the whole of it."""
        notices: Notices = {}
        self._own_eyes = since[_RIGHT] == _OWN_EYES
        cookie, flags = bytes.fromhex(since[_COOKIE]), _flags(since[_RIGHT])
        # Whoever enters or leaves a filter is reported only if the attribute in it is asked for.
        signs = {*_SIGNS, *self._look_up.filter_types} - {MEMBER}
        wanted = sorted({*self._look_up.attributes, MEMBER, *signs, GUID})
        for part in self._parts(_EVERYTHING, wanted, cookie, flags):
            cookie = part.cookie
            for found in part.found:
                anchor = read_guid(found.attributes.get(GUID, ()))
                if anchor is None:
                    raise CheckpointRefused(f"{self._session.url} reports a change without saying of what")
                _take_note(notices.setdefault(anchor, Notice()), found, signs)
        try:  # the rights may be others than at the full read
            refuse_where_changes_are_missed(self._session, self._settings, self._whereabouts)
        except ChangesMissed as missed:
            raise ChangesUntold(str(missed)) from missed
        return notices, {_COOKIE: cookie.hex(), _RIGHT: since[_RIGHT]}

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


class ChangesMissed(ReadInterrupted):
    """DirSync would leave out changes, without a word."""


def refuse_where_changes_are_missed(
    session: ActiveDirectorySession, settings: ActiveDirectorySettings, whereabouts: Whereabouts
) -> None:
    """Raise ChangesMissed if Samba would leave out some of a few people and groups. Raises ReadInterrupted."""
    if whereabouts.windows:
        return
    for name in (U_S_N_CHANGED, _COMPARED):
        if dn := first_without(session, settings, name):
            raise ChangesMissed(f"{dn} does not show the account its {name}, without which changes are left out")


def refuse_where_own_eyes_miss_changes(
    session: ActiveDirectorySession, settings: ActiveDirectorySettings, whereabouts: Whereabouts
) -> None:
    """Raise ReadInterrupted if DirSync, without the right to replicate changes, may leave out somebody who changes.

    Of Windows no more is asked than that one person shows what is compared, for nobody has tried it there.
    """
    if not whereabouts.windows:
        raise ReadInterrupted(_told_too_little(whereabouts.context))
    for base in settings.user_bases:
        try:
            people = session.search(base, settings.people, [_COMPARED], page_size=1)
            first = next((one for one in people if isinstance(one, Found)), None)
        except MissingBase:  # the read will say so itself
            continue
        if first is not None and _COMPARED.lower() not in first.attributes:
            raise ReadInterrupted(
                f"{first.dn} does not show the account its {_COMPARED}, without which changes are left out"
            )


def _told_too_little(context: str) -> str:
    return (
        f"the account may not replicate directory changes of {context}, and without that right only a controller of "
        "Windows is known to leave no change out"
    )


def _flags(right: str) -> int:
    return OBJECT_SECURITY if right == _OWN_EYES else 0


def _take_note(notice: Notice, found: Found, signs: AbstractSet[str]) -> None:
    attributes = found.attributes
    deleted = attributes.get("isdeleted")
    if deleted is not None:
        notice.deleted = list(deleted) == [b"TRUE"]
        if not notice.deleted:
            raise CheckpointRefused(f"{found.dn} was restored from the deleted objects, perhaps with its groups")
    notice.whole = notice.whole or not signs.isdisjoint(attributes)
    for key, values in attributes.items():
        if key.partition(";")[0] != MEMBER:
            continue
        try:
            domain = domain_of(normalise(found.dn))
            names = {name for value in values for name in member_names(value, domain)}
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
