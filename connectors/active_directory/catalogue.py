"""The global catalogue: who is meant by the members of groups that lie in other domains of the forest.

A domain controller that is a catalogue holds, of every domain of the forest, every entry with some of its attributes
(MS-ADTS 3.1.1.1.9, the partial attribute set), and answers on ports of its own. It is asked for what the groups of the
source list and another domain has, by objectGUID and below the root of all names. Some things it does not hold:

* who is in a group of another domain, unless that is universal: so groups found there stay unknown;
* accountExpires and lockoutTime: of the states of an account only "disabled" shows;
* isCriticalSystemObject: a filter over what it does not hold answers to nobody, so accounts that come with every domain
  are told by the end of their SID, which is below 1000 (MS-DTYP 2.4.2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from connectors.active_directory.entries import GUID, ActiveDirectoryReader, read_guid, reader_of
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.witnesses import any_of
from connectors.base import (
    Completeness,
    EntryDeleted,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    Extent,
    MembersChanged,
    Name,
    NameKind,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    Wanted,
)
from connectors.errors import ReadInterrupted, SourceError
from connectors.ldap.found import Found
from connectors.ldap.opening import open_as
from connectors.ldap.session import MissingBase

_FOREST = ""  # below this base a catalogue searches everything (MS-ADTS 3.1.1.3.1.3)
_READY = "isglobalcatalogready"
_SERVICES = "serviceprincipalname"
_FIRST_OF_DOMAIN = 1000
_TOGETHER = 100
_A_FEW = 10


def with_catalogue(
    events: Iterator[ReadEvent], settings: ActiveDirectorySettings, wanted: Wanted, forest: Callable[[], str]
) -> Iterator[ReadEvent]:
    """Pass a read on; before its end, tell of the members in other domains that it met, and of those to look at again.

    forest: names the forest, when it is needed. Raises ReadInterrupted
    """
    asked: dict[str, str] = {}
    for event in events:
        if isinstance(event, ReadStarted):
            # Of a full read the lists tell everything.
            asked |= wanted.elsewhere if event.extent is Extent.INCREMENTAL else {}
        elif isinstance(event, ReadEnded) and event.completeness is not Completeness.FAILED:
            trouble = yield from _looked_up(settings, wanted, forest, asked)
            yield replace(event, reason=" ".join(filter(None, (event.reason, trouble))))
            continue
        else:
            asked |= _in_other_domains(event)
        yield event


def open_catalogue(settings: ActiveDirectorySettings, forest: Callable[[], str]) -> ActiveDirectorySession:
    """Open a session with a catalogue that has received every domain. The caller closes it. Raises SourceError."""
    session = open_as(ActiveDirectorySession, settings.catalogue(forest))
    try:
        root = session.look_up("", [_READY])  # MS-ADTS 3.1.1.3.2
    except ReadInterrupted:
        session.close()
        raise
    if root is not None and list(root.attributes.get(_READY, ())) == [b"TRUE"]:
        return session
    session.close()
    raise ReadInterrupted(
        f"source {settings.name}: {session.url} is no global catalogue, or not ready to be one (isGlobalCatalogReady). "
        "Name one in global_catalog_urls."
    )


def _in_other_domains(event: ReadEvent) -> dict[str, str]:
    names: frozenset[Name] = frozenset()
    if isinstance(event, EntryFound) and event.entry.members is not None:
        names = event.entry.members.names
    elif isinstance(event, MembersChanged):
        names = event.added
    parted = (name.value.partition(" ") for name in names if name.kind is NameKind.FOREIGN_DN)
    return {guid: dn for guid, _, dn in parted}


def _looked_up(
    settings: ActiveDirectorySettings, wanted: Wanted, forest: Callable[[], str], asked: Mapping[str, str]
) -> Generator[ReadEvent, None, str]:
    """Ask, and return what could not be found out, and why. Nothing of that makes the read itself less complete."""
    if not asked:
        return ""
    try:
        session = open_catalogue(settings, forest)
    except SourceError as error:
        return _not_asked(settings, str(error))
    try:
        catalogue = _Catalogue(session, settings, wanted)
        anchors = sorted(asked)
        for start in range(0, len(anchors), _TOGETHER):
            yield from catalogue.look_up({anchor: asked[anchor] for anchor in anchors[start : start + _TOGETHER]})
    except ReadInterrupted as error:
        return _not_asked(settings, str(error))
    else:
        return catalogue.told()
    finally:
        session.close()


def _not_asked(settings: ActiveDirectorySettings, why: str) -> str:
    return (
        f"source {settings.name}: members in other domains could not be looked up in the global catalogue, and stay as "
        f"they are. {why.removeprefix(f'source {settings.name}: ')}"
    )


class _Catalogue:
    """Looks up in an open session."""

    def __init__(self, session: ActiveDirectorySession, settings: ActiveDirectorySettings, wanted: Wanted) -> None:
        self._session = session
        self._settings = settings
        states = tuple(state for state in settings.inactive_when if state in {"disabled", "contact"})
        self._reader: ActiveDirectoryReader = replace(reader_of(states, wanted, _NoGroups()), lists=False)
        self._shown: dict[str, bool] = {}  # by domain: whether anybody of it can be seen
        self._doubts: list[str] = []

    def look_up(self, asked: Mapping[str, str]) -> Iterator[ReadEvent]:
        """Yield what became of these. Raises ReadInterrupted."""
        missing = dict(asked)
        attributes = [*sorted(self._reader.needed | {_SERVICES})]
        for found in self._search(_FOREST, f"(&{self._settings.user_filter}{any_of(list(asked))})", attributes):
            anchor = read_guid(found.attributes.get(GUID, ()))
            event = self._reader.understand(found.dn, found.attributes)
            if isinstance(event, EntryUnreadable):
                # Its state cannot be told, so it stays as it was, if it was.
                self._doubts.append(f"of {event.dn} {event.reason}")
                missing.pop(anchor or "", None)
            elif event is not None and event.entry.kind is not EntryKind.GROUP and self._is_person(event, found):
                missing.pop(event.entry.anchor, None)
                self._shown[_domain_dn(asked.get(event.entry.anchor, ""))] = True
                # Whoever has it as primary group is known by a source of that domain alone.
                names = frozenset(name for name in event.entry.names if name.kind is not NameKind.PRIMARY_GROUP)
                yield EntryFound(replace(event.entry, names=names), second_hand=True)
        yield from self._absences(missing)

    def told(self) -> str:
        """Return what could not be found out."""
        if not self._doubts:
            return ""
        more = f" And {len(self._doubts) - 1} more of this kind." if len(self._doubts) > 1 else ""
        return f"source {self._settings.name}: the global catalogue {self._session.url}: {self._doubts[0]}{more}"

    def _absences(self, missing: dict[str, str]) -> Iterator[EntryDeleted]:
        if not missing:
            return
        for found in self._search(_FOREST, any_of(list(missing)), [GUID]):
            anchor = read_guid(found.attributes.get(GUID, ()))
            if anchor is not None and missing.pop(anchor, None) is not None:
                evidence = (
                    f"the global catalogue {self._session.url} shows that it is no person, or answers to no filter"
                )
                yield EntryDeleted(anchor, evidence, exists=True, second_hand=True)
        for anchor, dn in missing.items():
            domain = _domain_dn(dn)
            if self._shows_people_of(domain):
                evidence = f"the global catalogue {self._session.url} shows others of {domain}, and not this one"
                yield EntryDeleted(anchor, evidence, second_hand=True)

    def _shows_people_of(self, domain: str) -> bool:
        """Tell whether anybody else of a domain can be seen: else a right or a replica is missing, and not people."""
        if domain not in self._shown:
            people = self._search(domain, self._settings.user_filter, [GUID], page_size=_A_FEW)
            try:
                self._shown[domain] = any(True for _ in islice(people, 1))
            except MissingBase:
                self._shown[domain] = False
            if not self._shown[domain]:
                self._doubts.append(
                    f"it shows nobody of {domain}, so nothing is concluded of its members there. Give the account the "
                    "right to read them, or add a source for that domain."
                )
        return self._shown[domain]

    def _is_person(self, event: EntryFound, found: Found) -> bool:
        if event.entry.kind is EntryKind.CONTACT:
            return True
        if not self._settings.service_accounts and found.attributes.get(_SERVICES):
            return False
        sid = next((name.value for name in event.entry.names if name.kind is NameKind.SID), "")
        return self._settings.critical_accounts or int(sid.rpartition("-")[2]) >= _FIRST_OF_DOMAIN

    def _search(
        self, base: str, search_filter: str, attributes: list[str], page_size: int | None = None
    ) -> Iterator[Found]:
        for found in self._session.search(base, search_filter, attributes, page_size=page_size):
            if isinstance(found, Found):
                yield found


class _NoGroups:
    """Of groups nothing is read, so nothing has to be known of their members."""

    def sees_members(self) -> bool:
        return False

    def hides_members(self, group_dn: str, anchor: str) -> bool:
        del group_dn, anchor
        return False


def _domain_dn(dn: str) -> str:
    """Return the name of the domain that a normalised name lies in."""
    parts = dn.split(",")
    first = next((number for number in range(len(parts)) if all(p.startswith("dc=") for p in parts[number:])), 0)
    return ",".join(parts[first:])
