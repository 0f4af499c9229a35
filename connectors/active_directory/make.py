"""What is different about reading Active Directory: its landmarks, and its ways of finding out what changed."""

from __future__ import annotations

from datetime import timedelta

from connectors.active_directory.dirsync import DirSync
from connectors.active_directory.increments import Increments, NoticeSource
from connectors.active_directory.landmarks import Whereabouts, look_around
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.usn import UsnChanged
from connectors.errors import ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.detection import ChangeDetection
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.last_resort import EveryReadFull


class ActiveDirectoryMake:
    """A domain of Active Directory."""

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        with_lists: Interpretation,
        without_lists: Interpretation,
    ) -> None:
        self._session = session
        self._settings = settings
        self._with_lists = with_lists
        self._without_lists = without_lists
        self._whereabouts: Whereabouts | None = None

    def landmarks(self, past: LdapCheckpoint | None) -> Landmarks:
        """Look at the controller and the bases."""
        self._whereabouts = look_around(self._session, self._settings, past)
        return self._whereabouts

    def begin_detection(self) -> tuple[ChangeDetection, str]:
        """Take what the settings ask for, or the best that the account may use."""
        why_not: list[str] = []
        for source in self._sources():
            detection = self._increments(source)
            try:
                detection.begin()
            except ReadInterrupted as error:
                why_not.append(f"{source.name} does not work here: {error}")
            else:
                return detection, " ".join(why_not)
        return EveryReadFull(), " ".join([*why_not, "So every read is full."] if why_not else why_not)

    def detection_named(self, name: str) -> ChangeDetection | None:
        """Make it, unless the settings ask for another now."""
        if name == EveryReadFull.name:
            return EveryReadFull()
        return next((self._increments(source) for source in self._sources() if source.name == name), None)

    def _sources(self) -> list[NoticeSource]:
        whereabouts = self._where()
        asked = self._settings.changes
        sources: list[NoticeSource] = []
        if asked in {"auto", "dirsync"}:
            sources.append(DirSync(self._session, self._look_up, whereabouts))
        if asked in {"auto", "usn"}:
            sources.append(UsnChanged(self._look_up, whereabouts))
        return sources

    def _increments(self, source: NoticeSource) -> Increments:
        delay = timedelta(seconds=self._settings.replication_delay)
        return Increments(source, self._session, self._look_up, self._where(), delay)

    def _where(self) -> Whereabouts:
        if self._whereabouts is None:
            raise RuntimeError("the landmarks come first")
        return self._whereabouts

    @property
    def _look_up(self) -> LookUp:
        context = self._where().context
        return LookUp(self._session, self._settings, context, self._with_lists, self._without_lists)
