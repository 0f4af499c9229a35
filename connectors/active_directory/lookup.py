"""Looking up in a domain: the entries that something was said of, by their objectGUID, and who else may concern us."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime

from connectors.active_directory.entries import GUID, PRINCIPALS, file_time, read_guid
from connectors.active_directory.session import SHOW_RECYCLED, ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.witnesses import NUMBER, Witnesses
from connectors.base import EntriesListed, EntryFound, EntryUnreadable
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.listing import list_entries

_TOMBSTONE = "\\0ADEL:"  # in the name of what is deleted, but not in that of the container (MS-ADTS 3.1.1.5.5.1.1)


class LookUp:
    """Looks below every base, and for what may lie outside of them in the naming context.

    with_lists:     understands groups with their members
    without_lists:  the same for everything else of them
    witnesses:      of what was looked up, the entries with the highest numbers
    """

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        context: str,
        with_lists: Interpretation,
        without_lists: Interpretation,
    ) -> None:
        self._session = session
        self._settings = settings
        self._context = context
        self.witnesses = Witnesses()
        self._interpretations = {True: with_lists, False: without_lists}

    @property
    def attributes(self) -> list[str]:
        """Everything that is looked at of an entry, but for the members of groups."""
        return self._interpretations[False].attributes

    @staticmethod
    def anchor_of(event: EntryFound | EntryUnreadable) -> str:
        """Return whose event it is; empty when that is not known."""
        return Interpretation.anchor_of(event) or ""

    def wanted(self, anchors: Sequence[str], *, with_lists: bool) -> Iterator[EntryFound | EntryUnreadable]:
        """Yield those that lie below a base and answer to its filter. Raises ReadInterrupted."""
        if not anchors:
            return
        interpretation = self._interpretations[with_lists]
        for base, search_filter in self._settings.scopes.items():
            wanted = f"(&{search_filter}{_any_of(anchors)})"
            for found in self._session.search(base, wanted, [*interpretation.attributes, NUMBER]):
                if isinstance(found, Found):
                    self.witnesses.observe(found)
                    yield interpretation.event(found)
                else:
                    interpretation.refer(found, base)

    def everything(self) -> Iterator[EntriesListed]:
        """Yield the anchors of all people and groups. Raises ReadInterrupted."""
        return list_entries(self._session, self._settings, self._interpretations[False], read_guid)

    def outside(self, anchors: Sequence[str]) -> dict[str, bool]:
        """Return which of them can be seen at all, and whether it is something else than a user, group or contact.

        What cannot be seen may only be hidden. Raises ReadInterrupted.
        """
        if not anchors:
            return {}
        seen: dict[str, bool] = {}
        for found in self._session.search(self._context, _any_of(anchors), [GUID, "objectClass"]):
            if isinstance(found, Found):
                anchor = read_guid(found.attributes.get(GUID, ()))
                classes = {value.lower() for value in found.attributes.get("objectclass", ())}
                if anchor is not None:
                    seen[anchor] = not classes & PRINCIPALS.keys()
        return seen

    def numbered_from(self, usn: int) -> Iterator[Found]:
        """Yield what changed in the domain from that number on, deleted entries included. Raises ReadInterrupted."""
        attributes = [GUID, "isDeleted", "lastKnownParent"]
        for found in self._session.search(self._context, f"(uSNChanged>={usn})", attributes, also=[SHOW_RECYCLED]):
            if isinstance(found, Found):
                yield found

    def any_contradicts(self, witnesses: Witnesses) -> bool:
        """Tell whether one of them has a lower number now. Raises ReadInterrupted."""
        if not witnesses.anchors:
            return False
        found = self._session.search(self._context, _any_of(witnesses.anchors), [GUID, NUMBER])
        return any(isinstance(one, Found) and witnesses.contradicted_by(one) for one in found)

    def restored(self) -> Iterator[str]:
        """Yield the anchors of what was deleted and restored. Raises ReadInterrupted."""
        for found in self._session.search(self._context, "(lastKnownParent=*)", [GUID]):
            anchor = read_guid(found.attributes.get(GUID, ())) if isinstance(found, Found) else None
            if anchor is not None:
                yield anchor

    def sees_tombstones(self) -> bool:
        """Tell whether any deleted entry can be seen. Raises ReadInterrupted."""
        return sees_tombstones(self._session, self._context)

    @property
    def time_matters(self) -> bool:
        """Whether people become inactive, or active again, by the passing of time."""
        return {"expired", "locked"} & {*self._settings.inactive_when} != set()

    def changed_by_time(self, since: datetime, now: datetime) -> Iterator[str]:
        """Yield the anchors of people who may have become inactive, or active again, without any change.

        An account expires at a time that was set before. A lock ends after a time, and no number is higher for it.
        Raises ReadInterrupted.
        """
        expired = f"(&(accountExpires>={file_time(min(since, now))})(accountExpires<={file_time(now)}))"
        wanted = {"expired": expired, "locked": "(lockoutTime>=1)"}
        filters = "".join(wanted[state] for state in self._settings.inactive_when if state in wanted)
        if not filters:
            return
        for base in self._settings.user_bases:
            for found in self._session.search(base, f"(&{self._settings.people}(|{filters}))", [GUID]):
                anchor = read_guid(found.attributes.get(GUID, ())) if isinstance(found, Found) else None
                if anchor is not None:
                    yield anchor


def sees_tombstones(session: ActiveDirectorySession, context: str) -> bool:
    """Tell whether any deleted entry of the domain can be seen. Raises ReadInterrupted."""
    deleted = session.search(context, "(isDeleted=TRUE)", [GUID], page_size=10, also=[SHOW_RECYCLED])
    return any(isinstance(found, Found) and is_tombstone(found.dn) for found in deleted)


def is_tombstone(dn: str) -> bool:
    """Tell whether it is the name of a deleted entry."""
    return _TOMBSTONE in dn.upper()


def _any_of(anchors: Sequence[str]) -> str:
    return f"(|{''.join(f'(objectGUID={_escaped(anchor)})' for anchor in anchors)})"


def _escaped(anchor: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in uuid.UUID(anchor).bytes_le)
