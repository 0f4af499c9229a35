"""What `rollcall check` finds out about a domain: what the account can see, and whether it may do too much."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

from connectors.active_directory.catalogue import open_catalogue
from connectors.active_directory.dirsync import refuse_where_changes_are_missed, refuse_where_own_eyes_miss_changes
from connectors.active_directory.entries import GUID, MEMBER
from connectors.active_directory.extended_name import sid_text
from connectors.active_directory.landmarks import CURRENT_TIME, Whereabouts, forest_of, look_around, read_time
from connectors.active_directory.locator import doubts_about_records
from connectors.active_directory.session import OBJECT_SECURITY, ActiveDirectorySession, NoRight
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.sight import sees_tombstones
from connectors.active_directory.witnesses import NUMBER
from connectors.base import Finding
from connectors.errors import ReadInterrupted, SourceError, SourceUnreachable
from connectors.ldap.bases import check_bases
from connectors.ldap.found import Found
from connectors.ldap.landmarks import UNKNOWN, look_at_landmarks

_CLOCK = timedelta(minutes=5)  # Kerberos refuses whoever is further off (RFC 4120, 1.2)
_LOOKED_AT = 100  # people and groups: what the account may read of one it mostly may of all
# The last part of the SID (MS-DTYP 2.4.2.4). Whoever is in one of these can change the directory.
_POWERFUL = {
    "512": "Domain Admins",
    "518": "Schema Admins",
    "519": "Enterprise Admins",
    "544": "Administrators",
    "548": "Account Operators",
    "549": "Server Operators",
    "551": "Backup Operators",
}
_NEEDED_OF_PEOPLE = ("objectGUID", "objectSid", "primaryGroupID", "userAccountControl")


class DomainCheck:
    """Checks once, with an open session."""

    def __init__(self, session: ActiveDirectorySession, settings: ActiveDirectorySettings, subject: str) -> None:
        self._session = session
        self._settings = settings
        self._subject = subject
        self._without_number = ""  # an entry whose uSNChanged cannot be read

    def findings(self) -> Iterator[Finding]:
        """Yield them, from the controller down to the people. Raises ReadInterrupted."""
        whereabouts = look_around(self._session, self._settings)
        context = whereabouts.context
        yield self._well(f"it is a domain controller of {context}")
        yield from self._records()
        yield from self._catalogue()
        yield self._clock()
        if not (yield from check_bases(self._session, self._settings, self._subject)):
            return
        yield from self._people()
        yield self._groups()
        if (yield from self._changes(whereabouts)):
            yield self._deleted(context)
        yield self._rights()

    def _records(self) -> Iterator[Finding]:
        if not self._settings.domain:
            return
        try:
            doubts = doubts_about_records(self._settings.domain_search)
        except SourceUnreachable as error:
            yield Finding(self._subject, ok=False, message=str(error))
            return
        for doubt in doubts:
            yield self._well(doubt.message, doubt.remedy)

    def _catalogue(self) -> Iterator[Finding]:
        if not self._settings.global_catalog:
            return
        try:
            session = open_catalogue(self._settings, lambda: forest_of(self._session, self._settings))
        except SourceError as error:
            yield Finding(self._subject, ok=False, message=str(error))
            return
        session.close()
        yield self._well(f"the global catalogue at {session.url} answers")

    def _clock(self) -> Finding:
        root = self._session.look_up("", [CURRENT_TIME])
        there = read_time(b"".join(root.attributes.get(CURRENT_TIME, ()))) if root is not None else None
        if there is None:
            return self._ill("the controller does not tell its time", "See the directory server's log.")
        here = datetime.now(UTC)
        apart = abs(there - here)
        if apart < _CLOCK:
            return self._well(f"its clock and this machine's are {apart.total_seconds():.0f} s apart")
        return self._ill(
            f"its clock says {there:%Y-%m-%d %H:%M:%S} UTC and this machine's {here:%Y-%m-%d %H:%M:%S} UTC",
            "Set the wrong one; Kerberos and certificates fail with clocks more than five minutes apart.",
        )

    def _people(self) -> Iterator[Finding]:
        wanted = [*_NEEDED_OF_PEOPLE, "objectClass", NUMBER]
        found = self._some(self._settings.user_bases, self._settings.people, wanted)
        if not found:
            yield self._nothing("user", "users", self._settings.user_bases, self._settings.people)
            return
        accounts = [one for one in found if b"user" in {name.lower() for name in one.attributes.get("objectclass", ())}]
        missing = {name: one.dn for one in accounts for name in _NEEDED_OF_PEOPLE if name.lower() not in one.attributes}
        if missing:
            yield self._ill(
                f"{', '.join(sorted(missing))} cannot be read, of {next(iter(missing.values()))} for one",
                "Give the account the right to read all properties of users: without userAccountControl a disabled "
                "account looks active, without primaryGroupID members of a primary group are missed.",
            )
        else:
            yield self._well("people can be read, with the state of their account and their primary group")
        self._look_for_numbers(found)

    def _groups(self) -> Finding:
        groups = self._settings.group_bases
        found = self._some(groups, self._settings.group_filter, [GUID, NUMBER])
        self._look_for_numbers(found)
        if not found:
            return self._nothing("group", "groups", groups, self._settings.group_filter)
        if not self._some(groups, f"(&{self._settings.group_filter}({MEMBER}=*))", [GUID]):
            return self._ill(
                f"no group below {', '.join(groups)} shows a member",
                "If there are groups with members, give the account the right to read their property member.",
            )
        return self._well("groups and their members can be read")

    def _look_for_numbers(self, found: Sequence[Found]) -> None:
        hidden = (one.dn for one in found if NUMBER not in one.attributes)
        self._without_number = self._without_number or next(hidden, "")

    def _changes(self, whereabouts: Whereabouts) -> Generator[Finding, None, bool]:
        """Tell how changes are found, by what the settings ask for; return whether they are found at all."""
        if self._settings.changes == "full":
            yield self._well(
                'every read is full, as changes asks for ("full")',
                'That does, but every cycle costs as much as the first; changes = "auto" has only the changes read.',
            )
            return False
        if not look_at_landmarks(self._session, self._settings).all_known():
            yield self._well(UNKNOWN)
            return False
        if self._settings.changes == "usn":
            yield self._by_number("", ', as changes asks for ("usn")')
            return not self._without_number
        try:
            yield self._dirsync(whereabouts)
        except ReadInterrupted as error:
            if self._settings.changes == "dirsync":
                yield self._well(
                    f"DirSync does not work here ({error}); so every read is full",
                    'Write changes = "auto" to have the changes found by uSNChanged where DirSync does not work.',
                )
                return False
            yield self._by_number(f"DirSync does not work here ({error}); ")
            return not self._without_number
        return True

    def _by_number(self, why: str, asked: str = "") -> Finding:
        if self._without_number:
            return self._well(
                f"{why}uSNChanged cannot be read, of {self._without_number} for one, so every read is full",
                "Let the account read that property, to have changes found.",
            )
        return self._well(
            f"{why}changes are found by uSNChanged{asked}",
            "That does, but a changed group is read with all of its members each time.",
        )

    def _dirsync(self, whereabouts: Whereabouts) -> Finding:
        """Ask as a read would. Raises ReadInterrupted."""
        context = whereabouts.context
        try:
            self._session.synchronise_part(context, "(isDeleted=TRUE)", [GUID], b"", 0)
        except NoRight:
            refuse_where_own_eyes_miss_changes(self._session, self._settings, whereabouts)
            self._refuse_hidden_number()
            self._session.synchronise_part(context, "(isDeleted=TRUE)", [GUID], b"", OBJECT_SECURITY)
            return self._well(
                "the account may not replicate directory changes; what it may see itself is asked for instead",
                "That does. The right would be Replicating Directory Changes; without, what it cannot see is missed.",
            )
        refuse_where_changes_are_missed(self._session, self._settings, whereabouts)
        if not whereabouts.windows:
            self._refuse_hidden_number()
        return self._well("the account may replicate directory changes (DirSync)")

    def _refuse_hidden_number(self) -> None:
        if self._without_number:
            raise ReadInterrupted(f"{self._without_number} does not show its uSNChanged")

    def _deleted(self, context: str) -> Finding:
        if sees_tombstones(self._session, context):
            return self._well("deleted entries can be seen")
        return self._well(
            "no deleted entries can be seen, so every cycle with changes lists all entries to find who is gone",
            "That does. To spare the listing, let the account list CN=Deleted Objects (dsacls … /G account:LCRP).",
        )

    def _rights(self) -> Finding:
        root = self._session.look_up("", ["tokenGroups"])
        groups = [sid_text(value) for value in (root.attributes.get("tokengroups", ()) if root is not None else ())]
        powerful = {_POWERFUL[last] for last in (sid.rpartition("-")[2] for sid in groups) if last in _POWERFUL}
        if not powerful:
            return self._well("the account is in none of the groups that administer the domain")
        return self._well(
            f"the account is in {', '.join(sorted(powerful))}, and may do far more than read",
            "Use an account of its own that is in Domain Users only.",
        )

    def _some(self, bases: Sequence[str], search_filter: str, attributes: Sequence[str]) -> list[Found]:
        found = (
            one
            for base in bases
            for one in self._session.search(base, search_filter, attributes, page_size=_LOOKED_AT)
            if isinstance(one, Found)
        )
        return list(islice(found, _LOOKED_AT))

    def _nothing(self, setting: str, what: str, bases: Sequence[str], search_filter: str) -> Finding:
        return self._ill(
            f"no {what} answer to {search_filter} below {', '.join(bases)}",
            f"Correct {setting}_filter or base_dn, or give the account the right to read them.",
        )

    def _well(self, message: str, remedy: str = "") -> Finding:
        return Finding(self._subject, ok=True, message=message, remedy=remedy)

    def _ill(self, message: str, remedy: str) -> Finding:
        return Finding(self._subject, ok=False, message=message, remedy=remedy)
