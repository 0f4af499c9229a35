"""Change detection by content synchronisation (RFC 4533, "syncrepl"), refreshOnly.

The answers of the two servers that offer it differ so much that each has a dialect of its own. What is common:

* The cookie is taken before a full read, so that nothing which changes during it is missed, and what did change is
  caught up at its end. A cookie that the server refuses, or answers with an empty one, leads to a full read.
* A server names as deleted also what merely lies outside this base or filter. So whatever it names is looked for once
  more, below every base and in the naming context around it. What cannot be found may still be hidden from the account:
  for a group that others list, the agent has the lists read again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Protocol

from connectors.base import EntriesListed, EntryDeleted, ReadEvent
from connectors.distinguished_name import is_under, normalise
from connectors.errors import ChangesUntold, CheckpointRefused, ReadInterrupted
from connectors.ldap.content_synchronisation import SyncDone
from connectors.ldap.detection import Position, Progress
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.listing import list_entries
from connectors.ldap.samples import first_without
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings

_TOGETHER = 100  # entries looked for in one search


@dataclass(slots=True)
class ToLookFor:
    """Anchors that an answer named without sending the entry; in order, each once.

    deleted:  named as deleted
    changed:  named as changed
    """

    deleted: dict[str, None] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What one base's answer came to.

    position:   the cookie from which to go on, and whatever the dialect has to know of it besides
    lists_all:  the answer mentioned every entry below the base
    """

    position: str
    lists_all: bool = False


class Dialect(Protocol):
    """How one make of server answers.

    name:       the make
    anchor:     the attribute type that holds what its messages name entries by
    shown:      the attribute type without which an entry's changes are not told; empty: there is none
    """

    name: str
    anchor: str
    shown: str

    def search_filter(self, wanted: str) -> str:
        """Return the filter to synchronise with, for the entries that answer to `wanted`."""

    def begin(self, session: Session, base: str, search_filter: str) -> str:
        """Return the position as of now, without reading everything. Raises ReadInterrupted."""

    def cookie_of(self, position: str) -> bytes:
        """Return the server's own part of a position."""

    def behind(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """Tell whether the server knows less than the position. Raises ReadInterrupted."""

    def nothing_new(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """Tell whether it is known without a synchronisation that nothing changed. Raises CheckpointRefused."""

    def read(
        self,
        session: Session,
        interpretation: Interpretation,
        base: str,
        search_filter: str,
        position: str,
        to_look_for: ToLookFor,
    ) -> Generator[ReadEvent, None, Answered]:
        """Yield what one base's answer means. Raises CheckpointRefused."""


class Syncrepl:
    """Asks the server what changed since its own cookie, base by base."""

    def __init__(
        self, session: Session, settings: DirectorySettings, interpretation: Interpretation, dialect: Dialect
    ) -> None:
        self._session = session
        self._settings = settings
        self._interpretation = interpretation
        self._dialect = dialect
        self._begun: dict[str, str] = {}
        self._untold = ""  # an entry whose changes are not told

    @property
    def name(self) -> str:
        """Syncrepl, and whose."""
        return syncrepl_name(self._dialect)

    @property
    def attributes(self) -> frozenset[str]:
        """What an entry has to show."""
        return frozenset({self._dialect.shown} - {""})

    def begin(self) -> None:
        """Take a cookie for each base, if a few entries show that changes can be told."""
        if untold := self._first_untold():
            raise ReadInterrupted(hidden(self._dialect, untold))
        self._begun = {
            base: self._dialect.begin(self._session, base, self._dialect.search_filter(wanted))
            for base, wanted in self._settings.scopes.items()
        }

    def observe(self, found: Found) -> None:
        """Notice an entry of which the cookies tell nothing."""
        if any(not found.attributes.get(name.lower()) for name in self.attributes):
            self._untold = self._untold or found.dn

    def finish(self) -> Generator[ReadEvent, None, Position]:
        """Catch up: an entry that was moved during the read may have been missed where it was and where it is."""
        if self._untold:
            raise ChangesUntold(hidden(self._dialect, self._untold))
        reached: dict[str, str] = {}
        to_look_for = ToLookFor()
        for base in self._settings.scopes:
            answer = self._ask(base, self._begun[base], to_look_for)
            try:
                while True:
                    event = next(answer)
                    if not isinstance(event, EntriesListed):  # the full read mentions everything itself
                        yield event
            except StopIteration as end:
                # A list of what is there also says, by what it leaves out, who went away during the full read. The
                # next read has to get that list once more.
                reached[base] = self._begun[base] if end.value.lists_all else end.value.position
        yield from self._look_for(to_look_for)
        return reached

    def behind(self, since: Position, landmarks: Landmarks) -> bool:
        """Ask the dialect about every base that is there."""
        return any(
            self._dialect.behind(self._session, since[base], base, landmarks)
            for base in self._settings.scopes
            if base in since and base in landmarks.identities
        )

    def changes(self, since: Position, landmarks: Landmarks) -> Generator[ReadEvent, None, Progress]:
        """Ask every base, unless it is known that nothing changed."""
        if set(since) != set(self._settings.scopes):
            raise CheckpointRefused("the bases are others than last time")
        reached: dict[str, str] = {}
        lists_all: dict[str, bool] = {}
        to_look_for = ToLookFor()
        for base in self._settings.scopes:
            reached[base], lists_all[base] = since[base], False
            if not self._dialect.nothing_new(self._session, since[base], base, landmarks):
                answered = yield from self._ask(base, since[base], to_look_for)
                reached[base], lists_all[base] = answered.position, answered.lists_all
        if reached != dict(since) and (untold := self._first_untold()):
            # The right to see it may have gone since the full read, and the cookie has gone on without a word.
            raise ChangesUntold(hidden(self._dialect, untold))
        yield from self._look_for(to_look_for)
        if any(lists_all.values()) and not all(lists_all.values()):
            # Absence below one base proves nothing as long as the entry may have moved to another.
            yield from list_entries(self._session, self._settings, self._interpretation)
        return Progress(reached, news=reached != dict(since), lists_all=any(lists_all.values()))

    def _first_untold(self) -> str:
        return first_without(self._session, self._settings, self._dialect.shown) if self._dialect.shown else ""

    def _ask(self, base: str, position: str, to_look_for: ToLookFor) -> Generator[ReadEvent, None, Answered]:
        search_filter = self._dialect.search_filter(self._settings.scopes[base])
        return self._dialect.read(self._session, self._interpretation, base, search_filter, position, to_look_for)

    def _look_for(self, wanted: ToLookFor) -> Iterator[ReadEvent]:
        """Yield the entries that are there after all, and a deletion for those that are not, or not any more for us."""
        anchors = iter([*wanted.deleted, *wanted.changed])
        while some := list(islice(anchors, _TOGETHER)):
            any_of_them = f"(|{''.join(f'({self._dialect.anchor}={anchor})' for anchor in some)})"
            missing = dict.fromkeys(some)
            doubtful = False
            for base, search_filter in self._settings.scopes.items():
                both = f"(&{search_filter}{any_of_them})"
                for found in self._session.search(base, both, self._interpretation.attributes):
                    if isinstance(found, Found):
                        event = self._interpretation.event(found)
                        anchor = self._interpretation.anchor_of(event)
                        doubtful = doubtful or anchor is None
                        missing.pop(anchor or "", None)
                        yield event
            if doubtful:
                continue  # one of them was found, and it does not show which
            outside, all_seen = self._outside(any_of_them) if missing else (set(), True)
            for anchor in missing:
                if anchor in wanted.deleted:
                    # What was moved out of the base is reported in the same way (RFC 4533, 1.3.2).
                    yield EntryDeleted(
                        anchor,
                        f"{self._session.url} reported it as deleted (syncrepl)",
                        exists=anchor in outside or not all_seen,
                    )
                elif anchor in outside:
                    yield EntryDeleted(
                        anchor, f"{self._session.url} shows that it no longer answers to the filter", exists=True
                    )

    def _outside(self, any_of_them: str) -> tuple[set[str], bool]:
        """Return which of them can be seen, whatever they answer to, and whether the account may look everywhere."""
        seen: set[str] = set()
        all_seen = True
        for place in self._everywhere:
            try:
                for found in self._session.search(place, any_of_them, [self._dialect.anchor]):
                    if isinstance(found, Found):
                        seen.update(
                            value.decode("ascii", "replace").lower()
                            for value in found.attributes.get(self._dialect.anchor.lower(), ())
                        )
            except ReadInterrupted:
                if place in self._settings.scopes:
                    raise
                all_seen = False  # accounts often may see nothing above the bases
        return seen, all_seen

    @cached_property
    def _everywhere(self) -> list[str]:
        """The bases, and the naming contexts they lie in."""
        root = self._session.look_up("", ["namingContexts"])
        contexts = root.attributes.get("namingcontexts", ()) if root is not None else ()
        above = [
            context
            for context in (value.decode("utf-8", "replace") for value in contexts)
            if any(is_under(normalise(base), normalise(context)) for base in self._settings.scopes)
        ]
        return list(dict.fromkeys([*self._settings.scopes, *above]))


def syncrepl_name(dialect: Dialect) -> str:
    """Return what a checkpoint remembers it by."""
    return f"syncrepl, {dialect.name}"


def hidden(dialect: Dialect, dn: str) -> str:
    """Tell that an entry does not show what its changes are told by."""
    return (
        f"the account may not read {dialect.shown} of {dn}, without which syncrepl leaves changes out. Let it read "
        "that attribute"
    )


def first_cookie(session: Session, base: str, search_filter: str) -> str:
    """Return a cookie for everything below `base` as it is now, without reading all of it.

    Both servers bind a cookie to base and filter at most, not to the scope of the search: to ask for the base entry
    alone is enough. Raises ReadInterrupted when the server does not offer content synchronisation here.
    """
    for message in session.synchronise(base, search_filter, ["1.1"], None, base_only=True):
        if isinstance(message, SyncDone) and message.cookie:
            return message.cookie.decode("utf-8", "surrogateescape")
    raise ReadInterrupted(f"{session.url} gives no cookie for {base}.")
