"""What is different about reading Active Directory: its landmarks, and its ways of finding out what changed."""

from __future__ import annotations

from connectors.active_directory.dirsync import DirSync
from connectors.active_directory.landmarks import Whereabouts, look_around
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
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
        """Take DirSync, unless the settings ask for full reads."""
        if self._settings.changes == "full":
            return EveryReadFull(), ""
        dirsync = self._dirsync()
        try:
            dirsync.begin()
        except ReadInterrupted as error:
            return EveryReadFull(), f"DirSync does not work here, so every read is full: {error}"
        return dirsync, ""

    def detection_named(self, name: str) -> ChangeDetection | None:
        """Make it, unless the settings ask for another now."""
        if name == EveryReadFull.name:
            return EveryReadFull()
        return self._dirsync() if name == DirSync.name and self._settings.changes != "full" else None

    def _dirsync(self) -> DirSync:
        if self._whereabouts is None:
            raise RuntimeError("the landmarks come first")
        context = self._whereabouts.context
        look_up = LookUp(self._session, self._settings, context, self._with_lists, self._without_lists)
        return DirSync(self._session, look_up, self._whereabouts)
