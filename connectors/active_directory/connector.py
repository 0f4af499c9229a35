"""The `active-directory` connector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from connectors.active_directory.catalogue import with_catalogue
from connectors.active_directory.check import DomainCheck
from connectors.active_directory.entries import reader_of
from connectors.active_directory.landmarks import forest_of
from connectors.active_directory.make import ActiveDirectoryMake
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.sight import Sight
from connectors.base import Checkpoint, Finding, ReadEvent, SourceSettings, Wanted
from connectors.ldap.exploration import bases_of, fingerprint_of_certificate
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.reading import Make
from connectors.ldap.source import check_source, fingerprint_of, read_source


class ActiveDirectoryConnector:
    """Reads one domain."""

    settings_type: ClassVar[type[SourceSettings]] = ActiveDirectorySettings

    def __init__(self, settings: SourceSettings) -> None:
        if not isinstance(settings, ActiveDirectorySettings):
            raise TypeError("ActiveDirectoryConnector takes ActiveDirectorySettings")
        self._settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        """Everything that decides what a read brings; servers and credentials do not."""
        return fingerprint_of(self._settings, wanted)

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Yield what changed since the checkpoint, or everything."""
        opened: list[ActiveDirectorySession] = []

        def prepare(session: ActiveDirectorySession) -> tuple[Interpretation, Make]:
            opened.append(session)
            doubts: list[str] = []
            sight = Sight(session, self._settings, doubts)
            reader = reader_of(self._settings.inactive_when, wanted, sight)
            with_lists = Interpretation(self._settings, reader, session.url, doubts=doubts)
            without_lists = Interpretation(self._settings, replace(reader, lists=False), session.url, doubts=doubts)
            return with_lists, ActiveDirectoryMake(session, self._settings, sight, with_lists, without_lists)

        events = read_source(self._settings, ActiveDirectorySession, prepare, wanted, since)
        if self._settings.global_catalog:
            events = with_catalogue(events, self._settings, wanted, lambda: forest_of(opened[0], self._settings))
        yield from events

    def check(self) -> Iterator[Finding]:
        """Log on, and find out what the account can see, and whether it may do more than it needs."""
        yield from check_source(
            self._settings,
            ActiveDirectorySession,
            lambda session, subject: DomainCheck(session, self._settings, subject).findings(),
        )

    def bases(self) -> tuple[str, ...]:
        """Log on, and return the naming contexts that may hold people."""
        return bases_of(self._settings, ActiveDirectorySession)

    def certificate(self) -> str:
        """Look at the certificate that the first server shows, without believing it."""
        return fingerprint_of_certificate(self._settings)

    def close(self) -> None:
        """Sessions end with their read; there is nothing left to let go of."""
