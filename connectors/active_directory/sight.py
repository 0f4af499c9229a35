"""What the account can see of a domain, where it is not told what it cannot see.

Active Directory leaves out what the account may not read, without a word: a group whose members are hidden looks like
one without members, and a deleted entry that is hidden looks as if nothing had happened.
"""

from __future__ import annotations

from functools import cached_property

from ldap3.utils.conv import escape_filter_chars

from connectors.active_directory.entries import GUID, MEMBER
from connectors.active_directory.extended_name import read_name
from connectors.active_directory.session import SHOW_RECYCLED, ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.ldap.found import Found
from connectors.ldap.session import MissingBase

_TOMBSTONE = "\\0ADEL:"  # in the name of what is deleted, but not in that of the container (MS-ADTS 3.1.1.5.5.1.1)
_MEMBER_OF = "memberof"
_A_FEW = 10
_ASKED_ONE_BY_ONE = 5


class Sight:
    """Looked for when it matters, and once in a read.

    doubts:  where to tell that something cannot be seen
    """

    def __init__(self, session: ActiveDirectorySession, settings: ActiveDirectorySettings, doubts: list[str]) -> None:
        self._session = session
        self._settings = settings
        self._doubts = doubts
        self._members: bool | None = None
        self._asked = 0

    def sees_members(self) -> bool:
        """Tell whether the account can see members of any group. Raises ReadInterrupted."""
        if self._members is None:
            self._members = self._any_member()
            if not self._members:
                self._doubts.append(
                    f"no group below {' or '.join(self._settings.group_bases)} shows a member, so the account seems "
                    "to have no right to read the property member. Give it that right."
                )
        return self._members

    def hides_members(self, group_dn: str, anchor: str) -> bool:
        """Tell whether a group that shows no member has some all the same: then they show it (memberOf).

        Asking may cost a walk through the domain. Where more than a few groups are empty, one walk finds the names of
        all that are not; a group that was among them then is asked about, for it may have become empty since. Raises
        ReadInterrupted.
        """
        self._asked += 1
        if self._asked > _ASKED_ONE_BY_ONE and self._named is not None and anchor not in self._named:
            return False
        return self._any(self._domain, f"(memberOf={escape_filter_chars(group_dn)})")

    def sees_tombstones(self, context: str) -> bool:
        """Tell whether any deleted entry of the domain can be seen. Raises ReadInterrupted."""
        return sees_tombstones(self._session, context)

    def _any_member(self) -> bool:
        with_members = f"(&{self._settings.group_filter}({MEMBER}=*))"
        if any(self._any(base, with_members) for base in self._settings.group_bases):
            return True
        # Perhaps these groups are all empty. The group Administrators has members in every domain.
        return self._any(self._domain, f"(&(objectClass=group)({MEMBER}=*))")

    @cached_property
    def _domain(self) -> str:
        root = self._session.look_up("", ["defaultNamingContext"])
        domain = b"".join(root.attributes.get("defaultnamingcontext", ())) if root is not None else b""
        return read_name(domain.decode("utf-8", "replace")).dn

    @cached_property
    def _named(self) -> frozenset[str] | None:
        """The objectGUIDs of all groups that members name; None when not every name can be read."""
        named: set[str] = set()
        try:
            for found in self._session.search(self._domain, f"({_MEMBER_OF}=*)", [_MEMBER_OF]):
                shown = found.attributes if isinstance(found, Found) else {}
                names = [read_name(value.decode("utf-8", "replace")).guid for value in shown.get(_MEMBER_OF, ())]
                # A list in ranges that did not come to its end keeps its range.
                if not shown.keys() <= {_MEMBER_OF} or not all(names):
                    return None
                named.update(names)
        except MissingBase:  # as with one
            return None
        return frozenset(named)

    def _any(self, base: str, search_filter: str) -> bool:
        found = self._session.search(base, search_filter, [GUID], page_size=_A_FEW)
        try:
            return any(isinstance(one, Found) for one in found)
        except MissingBase:  # the read will say so itself
            return False


def sees_tombstones(session: ActiveDirectorySession, context: str) -> bool:
    """Tell whether any deleted entry of the domain can be seen. Raises ReadInterrupted."""
    deleted = session.search(context, "(isDeleted=TRUE)", [GUID], page_size=_A_FEW, also=[SHOW_RECYCLED])
    return any(isinstance(found, Found) and is_tombstone(found.dn) for found in deleted)


def is_tombstone(dn: str) -> bool:
    """Tell whether it is the name of a deleted entry."""
    return _TOMBSTONE in dn.upper()
