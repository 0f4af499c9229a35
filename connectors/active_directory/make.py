"""What is different about reading Active Directory: its landmarks, and its ways of finding out what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.active_directory.dirsync import DirSync
from connectors.active_directory.entries import MEMBER
from connectors.active_directory.increments import Increments, NoticeSource
from connectors.active_directory.landmarks import USN, Whereabouts, look_around
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.sight import Sight
from connectors.active_directory.standing import Knowledge, Standing
from connectors.active_directory.usn import UsnChanged
from connectors.active_directory.witnesses import NUMBER, any_of
from connectors.base import EntriesListed
from connectors.errors import ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.detection import ChangeDetection
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks, look_at_landmarks
from connectors.ldap.last_resort import EveryReadFull, why_passed_over


class ActiveDirectoryMake:
    """A domain of Active Directory. The landmarks come first: everything else depends on which controller answers."""

    attributes: frozenset[str] = frozenset({NUMBER})

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        sight: Sight,
        with_lists: Interpretation,
        without_lists: Interpretation,
    ) -> None:
        self._session = session
        self._settings = settings
        self._sight = sight
        self._with_lists = with_lists
        self._without_lists = without_lists
        self._known: _Known | None = None

    def landmarks(self, past: LdapCheckpoint | None, *, full: bool) -> Landmarks:
        """Look at the controller and the bases.

        An increment of a database that is as it was takes nothing from the bases, so it need not look at them. A full
        read does, and a list of everybody: the account, or its rights, may be others all the same.
        """
        whereabouts = look_around(self._session, self._settings)
        standing = Standing(self._session, self._settings, whereabouts, past.standing if past is not None else {})
        look_up = LookUp(self._session, self._settings, whereabouts, standing, self._with_lists, self._without_lists)
        self._known = _Known(whereabouts, standing, look_up)
        if past is not None and not full and standing.same_database:
            unchanged = past.position.get(USN) == str(whereabouts.usn)
            if unchanged and look_up.filter_changes_are_told:
                return Landmarks(past.directory, missing=False, context_csns={})
        return self.bases()

    def bases(self) -> Landmarks:
        """Look at every base."""
        return look_at_landmarks(self._session, self._settings)

    def behind(self, past: LdapCheckpoint, landmarks: Landmarks) -> bool:
        """Compare, whatever found the changes the last time."""
        del past, landmarks
        return self._have().standing.compare() is Knowledge.LESS

    def observe(self, found: Found) -> None:
        """Every entry may become a witness."""
        self._have().standing.observe(found)

    def standing(self) -> Mapping[str, str]:
        """Return how much the controller knew. Raises ReadInterrupted."""
        return self._have().standing.told()

    def filter_for(self, anchors: Sequence[str]) -> str:
        """Compare the objectGUID. Of groups only those that show a member: more is not asked about them."""
        return f"(&{any_of(anchors)}(|(!(objectClass=group))({MEMBER}=*)))"

    def begin_detection(self, passed_over: str = "") -> tuple[ChangeDetection, str]:
        """Take what the settings ask for, or the best that the account may use."""
        sources = sorted(self._sources(), key=lambda source: source.name == passed_over)
        why_not = [f"{why_passed_over(passed_over)}."] if sources and sources[-1].name == passed_over else []
        for source in sources:
            detection = self._increments(source)
            try:
                detection.begin()
            except ReadInterrupted as error:
                why_not.append(f"{source.name} does not work here: {error}")
            else:
                return detection, " ".join(why_not)
        return EveryReadFull(self.everything), " ".join([*why_not, "So every read is full."] if why_not else why_not)

    def detection_named(self, name: str) -> ChangeDetection | None:
        """Make it, unless the settings ask for another now."""
        return next((self._increments(source) for source in self._sources() if source.name == name), None)

    def everything(self) -> Iterator[EntriesListed]:
        """Yield the anchors of all people and groups. Raises ReadInterrupted."""
        return self._have().look_up.everything()

    def _sources(self) -> list[NoticeSource]:
        known = self._have()
        asked = self._settings.changes
        sources: list[NoticeSource] = []
        if asked in {"auto", "dirsync"}:
            sources.append(DirSync(self._session, self._settings, known.look_up, known.whereabouts))
        if asked in {"auto", "usn"}:
            sources.append(UsnChanged(known.look_up, known.whereabouts))
        return sources

    def _increments(self, source: NoticeSource) -> Increments:
        known = self._have()
        return Increments(source, self._session, known.look_up, known.whereabouts, known.standing, self._sight)

    def _have(self) -> _Known:
        if self._known is None:
            raise RuntimeError("the landmarks come first")
        return self._known


@dataclass(frozen=True, slots=True)
class _Known:
    """What the first look at the controller makes possible."""

    whereabouts: Whereabouts
    standing: Standing
    look_up: LookUp
