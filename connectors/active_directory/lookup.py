"""Looking up in a domain: the entries that something was said of, by their objectGUID, and who else may concern us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property

from connectors.active_directory.entries import GUID, PRINCIPALS, SID, file_time, read_guid
from connectors.active_directory.extended_name import sid_text
from connectors.active_directory.filters import attribute_types_in, changes_are_told
from connectors.active_directory.landmarks import Whereabouts
from connectors.active_directory.session import SHOW_RECYCLED, ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.sight import is_tombstone
from connectors.active_directory.standing import Standing
from connectors.active_directory.witnesses import NUMBER, any_of, escaped
from connectors.base import EntriesListed, EntryFound, EntryUnreadable, Name, NameKind
from connectors.errors import CheckpointRefused
from connectors.ldap.found import Found
from connectors.ldap.full_read import Observer
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.listing import list_entries


class LookUp:
    """Looks below every base, and for what may lie outside of them in the naming context.

    with_lists:     understands groups with their members
    without_lists:  the same for everything else of them
    standing:       sees what is looked up
    """

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        whereabouts: Whereabouts,
        standing: Standing,
        with_lists: Interpretation,
        without_lists: Interpretation,
    ) -> None:
        self._session = session
        self._settings = settings
        self._whereabouts = whereabouts
        self._context = whereabouts.context
        self._standing = standing
        self._interpretations = {True: with_lists, False: without_lists}

    @property
    def attributes(self) -> list[str]:
        """Everything that is looked at of an entry, but for the members of groups."""
        return self._interpretations[False].attributes

    @property
    def filter_types(self) -> frozenset[str]:
        """The attribute types by which an entry enters or leaves a filter, in lower case."""
        return attribute_types_in(self._settings.scopes.values())

    @cached_property
    def filter_changes_are_told(self) -> bool:
        """Whether all changes of who answers to a filter are told. Raises ReadInterrupted."""
        return changes_are_told(self._session, self._whereabouts.schema, self._settings.scopes.values())

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
            wanted = f"(&{search_filter}{any_of(anchors)})"
            for found in self._session.search(base, wanted, [*interpretation.attributes, NUMBER]):
                if isinstance(found, Found):
                    self._standing.observe(found)
                    yield interpretation.event(found)
                else:
                    interpretation.refer(found, base)

    def everything(self, observer: Observer | None = None) -> Iterator[EntriesListed]:
        """Yield the anchors of all people and groups; the observer sees each. Raises ReadInterrupted."""
        return list_entries(self._session, self._settings, self._interpretations[False], read_guid, observer)

    def outside(self, anchors: Sequence[str]) -> dict[str, bool]:
        """Return which of them can be seen at all, and whether it is something else than a user, group or contact.

        What cannot be seen may only be hidden. Raises ReadInterrupted.
        """
        if not anchors:
            return {}
        seen: dict[str, bool] = {}
        for found in self._session.search(self._context, any_of(anchors), [GUID, "objectClass"]):
            if isinstance(found, Found):
                anchor = read_guid(found.attributes.get(GUID, ()))
                classes = {value.lower() for value in found.attributes.get("objectclass", ())}
                if anchor is not None:
                    seen[anchor] = not classes & PRINCIPALS.keys()
        return seen

    def deleted_foreign_principals(self, anchors: Sequence[str]) -> dict[str, Name]:
        """Return which of these deleted entries stood for somebody elsewhere, and the SID by which groups listed them.

        Raises ReadInterrupted, and CheckpointRefused when another entry stands for the same: groups may list that.
        """
        if not anchors:
            return {}
        sids: dict[str, bytes] = {}
        for found in self._foreign_principals(any_of(anchors)):
            anchor, sid = read_guid(found.attributes.get(GUID, ())), b"".join(found.attributes.get(SID, ()))
            if anchor is not None and sid:
                sids[anchor] = sid
        if not sids:
            return {}
        same = "".join(f"(objectSid={escaped(sid)})" for sid in sids.values())
        for found in self._foreign_principals(f"(|{same})"):
            if read_guid(found.attributes.get(GUID, ())) not in sids and not is_tombstone(found.dn):
                raise CheckpointRefused(f"{found.dn} stands for somebody whose former entry was deleted")
        return {anchor: Name(NameKind.SID, sid_text(sid)) for anchor, sid in sids.items()}

    def _foreign_principals(self, which: str) -> Iterator[Found]:
        """Yield foreign security principals, deleted ones included. Raises ReadInterrupted."""
        wanted = f"(&(objectClass=foreignSecurityPrincipal){which})"
        for found in self._session.search(self._context, wanted, [GUID, SID], also=[SHOW_RECYCLED]):
            if isinstance(found, Found):
                yield found

    def numbered_from(self, usn: int) -> Iterator[Found]:
        """Yield what changed in the domain from that number on, deleted entries included. Raises ReadInterrupted."""
        attributes = [GUID, "isDeleted", "lastKnownParent"]
        for found in self._session.search(self._context, f"(uSNChanged>={usn})", attributes, also=[SHOW_RECYCLED]):
            if isinstance(found, Found):
                yield found

    def restored(self) -> Iterator[str]:
        """Yield the anchors of what was deleted and restored. Raises ReadInterrupted."""
        for found in self._session.search(self._context, "(lastKnownParent=*)", [GUID]):
            anchor = read_guid(found.attributes.get(GUID, ())) if isinstance(found, Found) else None
            if anchor is not None:
                yield anchor

    @property
    def time_matters(self) -> bool:
        """Whether people become inactive, or active again, by the passing of time."""
        return {"expired", "locked"} & {*self._settings.inactive_when} != set()

    def changed_by_time(self, since: datetime, now: datetime) -> Iterator[str]:
        """Yield the anchors of people who may have become inactive, or active again, without any change.

        An account expires at a time that was set before. A lock ends after a time, and no number is higher for it.
        Raises ReadInterrupted.
        """
        # The clock may have run ahead the last time.
        first, last = sorted((since, now))
        expired = f"(&(accountExpires>={file_time(first)})(accountExpires<={file_time(last)}))"
        wanted = {"expired": expired, "locked": "(lockoutTime>=1)"}
        filters = "".join(wanted[state] for state in self._settings.inactive_when if state in wanted)
        if not filters:
            return
        for base in self._settings.user_bases:
            for found in self._session.search(base, f"(&{self._settings.people}(|{filters}))", [GUID]):
                anchor = read_guid(found.attributes.get(GUID, ())) if isinstance(found, Found) else None
                if anchor is not None:
                    yield anchor
