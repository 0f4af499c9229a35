"""The `active-directory` connector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from connectors.active_directory.entries import GUID, reader_of
from connectors.active_directory.landmarks import look_around
from connectors.active_directory.make import ActiveDirectoryMake
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.base import Checkpoint, Finding, ReadEvent, SourceSettings, Wanted
from connectors.ldap.found import Found
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

        def prepare(session: ActiveDirectorySession) -> tuple[Interpretation, Make]:
            reader = reader_of(self._settings.inactive_when, wanted)
            with_lists = Interpretation(self._settings, reader, session.url)
            without_lists = Interpretation(
                self._settings, replace(reader, lists=False), session.url, doubts=with_lists.doubts
            )
            return with_lists, ActiveDirectoryMake(session, self._settings, with_lists, without_lists)

        yield from read_source(self._settings, ActiveDirectorySession, prepare, wanted, since)

    def check(self) -> Iterator[Finding]:
        """Log on, look for the controller and every base, and read one user and one group."""
        yield from check_source(self._settings, ActiveDirectorySession, self._check_domain)

    def close(self) -> None:
        """Sessions end with their read; there is nothing left to let go of."""

    def _check_domain(self, session: ActiveDirectorySession, subject: str) -> Iterator[Finding]:
        whereabouts = look_around(session, self._settings, None)
        yield Finding(subject, ok=True, message=f"it is a domain controller of {whereabouts.context}")
        yield from self._check_reading(session, subject)

    def _check_reading(self, session: ActiveDirectorySession, subject: str) -> Iterator[Finding]:
        settings = self._settings
        for what, bases, search_filter in (
            ("user", settings.user_bases, settings.people),
            ("group", settings.group_bases, settings.group_filter),
        ):
            found = next(
                (
                    one
                    for base in bases
                    for one in session.search(base, search_filter, [GUID], page_size=1)
                    if isinstance(one, Found)
                ),
                None,
            )
            if found is None:
                yield Finding(
                    subject,
                    ok=False,
                    message=f"no {what} answers to {search_filter} below {', '.join(bases)}",
                    remedy=f"Correct {what}_filter or base_dn, or give the account the right to read them.",
                )
            else:
                yield Finding(subject, ok=True, message=f"a {what} can be read")
