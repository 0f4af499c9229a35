"""One read of an LDAP directory: incremental from the checkpoint where that is safe, else full.

Incremental needs a checkpoint of this very directory, a change detection that can go on from it, and containers that
are named as before. Whatever is missing leads to a full read. Nothing at all is taken from a directory that is not
the one read before, or that knows less than was read: its groups would undo what is newer.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Protocol, TypeVar

from connectors.base import (
    Checkpoint,
    Completeness,
    EntriesListed,
    EntryDeleted,
    EntryFound,
    Extent,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)
from connectors.errors import ChangesUntold, CheckpointRefused, ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.containers import digest_of_containers
from connectors.ldap.detection import ChangeDetection
from connectors.ldap.found import Found
from connectors.ldap.full_read import Observer, full_read
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import UNKNOWN, Landmarks
from connectors.ldap.last_resort import WHY, EveryReadFull, passed_over
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings
from connectors.ldap.words import (
    an_older_directory,
    another_directory,
    no_longer_seen,
    no_sentinel,
    nothing_but_its_name,
    out_of_sight,
)

_MOVED = (
    "a container was added, renamed, moved or deleted while the directory was read, so somebody may have been missed. "
    "The next cycle reads again."
)
_TOGETHER = 100  # entries looked at again in one search
_OTHER_WAY = "the settings ask for another way to find changes"
_Result = TypeVar("_Result")


class Make(Observer, Protocol):
    """What depends on the make of directory. In a full read it sees every entry."""

    def landmarks(self, past: LdapCheckpoint | None, *, full: bool) -> Landmarks:
        """Tell which directory answers, and where it stands; what an increment needs if not `full`.

        Raises ReadInterrupted.
        """

    def bases(self) -> Landmarks:
        """Look at every base, whatever is known. Raises ReadInterrupted."""

    def behind(self, past: LdapCheckpoint, landmarks: Landmarks) -> bool:
        """Tell whether the server is known to know less than was read: it lags, or was restored from a backup.

        Raises ReadInterrupted when it has to be waited for to tell.
        """

    def standing(self) -> Mapping[str, str]:
        """Return, after a read, how much the server knew, for `behind` of the next one. Raises ReadInterrupted."""

    def filter_for(self, anchors: Sequence[str]) -> str:
        """Return the filter that finds these entries, as far as they may have become readable."""

    def begin_detection(self, passed_over: str = "") -> tuple[ChangeDetection, str]:
        """Choose a change detection and let it begin; a word on why it is no better one. Raises ReadInterrupted.

        passed_over: the one to be taken last, where the settings leave the choice
        """

    def detection_named(self, name: str) -> ChangeDetection | None:
        """Make the change detection that a checkpoint names, unless the settings ask for another now."""

    def everything(self) -> Iterator[EntriesListed]:
        """Yield the anchors of all people and groups. Raises ReadInterrupted."""


class DirectoryRead:
    """Reads once. Make it, take `events`, forget it."""

    def __init__(
        self, session: Session, settings: DirectorySettings, interpretation: Interpretation, make: Make
    ) -> None:
        self._session = session
        self._settings = settings
        self._interpretation = interpretation
        self._make = make
        self._found = self._deleted = False
        self._increment = False  # the stream is one that goes on from a checkpoint
        self._again: frozenset[str] = frozenset()
        self._directory: Mapping[str, str] = {}  # known, once a full read has begun

    def events(
        self, past: LdapCheckpoint | None, *, full: bool, again: frozenset[str] = frozenset()
    ) -> Iterator[ReadEvent]:
        """Yield the stream up to its ReadEnded; an increment looks again at the entries that are named."""
        self._again = again
        try:
            yield from self._read(past, full=full)
        except ReadInterrupted as error:
            # An increment that does not come to its end may do so for ever; PARTIAL makes the next read a full one.
            begun = (self._found or self._increment) and not (self._deleted and self._sentinel_is_out_of_sight())
            if begun:
                yield ReadEnded(Completeness.PARTIAL, str(error), self._unfinished(str(error)))
            else:
                yield ReadEnded(Completeness.FAILED, str(error))

    def _read(self, past: LdapCheckpoint | None, *, full: bool) -> Iterator[ReadEvent]:
        landmarks = self._make.landmarks(past, full=full)
        note, last = "", passed_over(past.position) if past is not None else ""
        if past is not None and not landmarks.contradict(past.directory):
            detection = None if full or landmarks.missing else self._make.detection_named(past.strategy)
            try:
                if detection is not None:
                    yield from self._incremental(detection, past, landmarks)
                    return
                self._refuse_what_is_older(past, landmarks)
                note = "" if full or landmarks.missing else past.position.get(WHY, _OTHER_WAY)
            except CheckpointRefused as refused:
                if refused.behind:
                    yield ReadEnded(Completeness.FAILED, an_older_directory(self._session.url, self._settings))
                    return
                note = str(refused)
                last = past.strategy if isinstance(refused, ChangesUntold) else last
        if not full:
            landmarks = self._make.bases()  # an increment may not have looked at them
        if past is not None and landmarks.contradict(past.directory):
            yield ReadEnded(Completeness.FAILED, another_directory(self._session.url, self._settings))
            return
        yield from self._full(past, landmarks, note, last)

    def _refuse_what_is_older(self, past: LdapCheckpoint, landmarks: Landmarks) -> None:
        if self._make.behind(past, landmarks):
            raise CheckpointRefused("the server knows less than was read", behind=True)

    def _incremental(
        self, detection: ChangeDetection, past: LdapCheckpoint, landmarks: Landmarks
    ) -> Generator[ReadEvent, None, None]:
        yield ReadStarted(Extent.INCREMENTAL, self._session.url, detection.name)
        self._increment = True
        progress = yield from self._noticing(detection.changes(past.position, landmarks))
        yield from self._look_again()
        if progress.news and digest_of_containers(self._session, self._settings) != past.containers:
            raise CheckpointRefused("a container was added, renamed, moved or deleted, and its entries with it")
        if (self._deleted or progress.lists_all) and not self._sentinel_is_there():
            # What was reported as deleted may only have gone out of sight, and it is on its way into the mirror.
            yield ReadEnded(Completeness.FAILED, no_sentinel(self._session.url, self._settings))
            return
        checkpoint = replace(past, position=progress.position, standing=self._make.standing())
        told = self._interpretation.told()
        yield ReadEnded(
            Completeness.PARTIAL if told else Completeness.COMPLETE,
            told,
            checkpoint.seal(),
            lists_all=progress.lists_all,
            position=checkpoint.told,
        )

    def _look_again(self) -> Iterator[ReadEvent]:
        anchors = sorted(self._again)
        for start in range(0, len(anchors), _TOGETHER):
            some = anchors[start : start + _TOGETHER]
            for base, search_filter in self._settings.scopes.items():
                wanted = f"(&{search_filter}{self._make.filter_for(some)})"
                attributes = [*self._interpretation.attributes, *self._make.attributes]
                for found in self._session.search(base, wanted, attributes):
                    if isinstance(found, Found):
                        self._make.observe(found)
                        yield self._noticed(self._interpretation.event(found))

    def _full(self, past: LdapCheckpoint | None, landmarks: Landmarks, note: str, last: str) -> Iterator[ReadEvent]:
        self._increment = False
        before = past.directory if past is not None else {}
        self._directory = {**before, **landmarks.known}
        every_time: tuple[ChangeDetection, str] = EveryReadFull(self._make.everything), UNKNOWN
        detection, why_not = self._make.begin_detection(last) if landmarks.all_known() else every_time
        yield ReadStarted(Extent.FULL, self._session.url, note or why_not)
        containers = self._containers(landmarks)
        shown: set[str] = set()
        for event in full_read(self._session, self._settings, self._interpretation, shown, detection, self._make):
            yield self._noticed(event)
        try:
            position = yield from self._noticing(detection.finish())
        except CheckpointRefused as refused:
            why_not = f"the read before could not be gone on from: {refused}"
            untold = detection.name if isinstance(refused, ChangesUntold) else ""
            detection = EveryReadFull(self._make.everything, why_not, untold)
            position = yield from self._noticing(detection.finish())
        self._doubt_bases(landmarks, before, shown)
        if digest_of_containers(self._session, self._settings) != containers:
            # Who is in it may have been missed where it was and where it is, and no cookie tells.
            self._interpretation.doubts.insert(0, _MOVED)
        if not self._sentinel_is_there():
            if self._deleted:
                yield ReadEnded(Completeness.FAILED, no_sentinel(self._session.url, self._settings))
                return
            self._interpretation.doubts.insert(0, no_sentinel(self._session.url, self._settings))
        told = self._interpretation.told()
        checkpoint = LdapCheckpoint(detection.name, self._directory, containers, position, self._make.standing())
        yield ReadEnded(
            Completeness.PARTIAL if told else Completeness.COMPLETE,
            told,
            checkpoint.seal() if self._directory else None,
            position=checkpoint.told,
        )

    def _doubt_bases(self, landmarks: Landmarks, before: Mapping[str, str], shown: AbstractSet[str]) -> None:
        """Doubt bases that cannot be read, though searching below them gave no error: they may be out of sight.

        Where rights are given entry by entry, as in 389 by a targetfilter, what is below may be seen all the same. But
        of what is below a base that was known before, some may have gone out of sight with it.
        """
        doubts, url = self._interpretation.doubts, self._session.url
        for base in self._settings.scopes:
            if base in landmarks.known:
                continue
            if base not in shown:
                hidden = nothing_but_its_name if base in landmarks.identities else out_of_sight
                doubts.insert(0, hidden(url, base))
            elif base in before:
                doubts.insert(0, no_longer_seen(url, base))

    def _containers(self, landmarks: Landmarks) -> str:
        try:
            return digest_of_containers(self._session, self._settings)
        except ReadInterrupted:
            if not landmarks.missing:
                raise
            return ""  # below a base that is missing nothing can be compared, and the read will say so itself

    def _unfinished(self, why: str) -> Checkpoint | None:
        """Return what the next read, a full one, has to know of a full read that was not finished."""
        if self._increment or not self._directory:
            return None
        try:
            standing = self._make.standing()
        except ReadInterrupted:
            return None
        return (
            LdapCheckpoint(EveryReadFull.name, self._directory, "", {WHY: why}, standing).seal() if standing else None
        )

    def _noticing(self, events: Generator[ReadEvent, None, _Result]) -> Generator[ReadEvent, None, _Result]:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                result: _Result = end.value
                return result
            yield self._noticed(event)

    def _noticed(self, event: ReadEvent) -> ReadEvent:
        self._found = self._found or isinstance(event, EntryFound)
        self._deleted = self._deleted or isinstance(event, EntryDeleted)
        return event

    def _sentinel_is_out_of_sight(self) -> bool:
        try:
            return not self._sentinel_is_there()
        except ReadInterrupted:
            return True

    def _sentinel_is_there(self) -> bool:
        return self._settings.sentinel is None or self._session.exists(self._settings.sentinel)
