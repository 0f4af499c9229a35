"""The `active-directory` connector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from connectors.active_directory.entries import GUID, reader_of
from connectors.active_directory.landmarks import look_around
from connectors.active_directory.make import ActiveDirectoryMake
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.base import (
    Checkpoint,
    Completeness,
    Extent,
    Finding,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    SourceSettings,
    Wanted,
)
from connectors.errors import ReadInterrupted, SourceError
from connectors.ldap.checkpoint import FORMAT, unseal
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.opening import open_as
from connectors.ldap.reading import DirectoryRead

_NOT_PART_OF_WHAT_IS_READ = {
    "name", "connector", "urls", "bind_dn", "bind_password", "bind_password_file", "ca_file", "starttls",
    "connect_timeout", "time_limit", "page_size", "changes",
}  # fmt: skip


class ActiveDirectoryConnector:
    """Reads one domain."""

    settings_type: ClassVar[type[SourceSettings]] = ActiveDirectorySettings

    def __init__(self, settings: SourceSettings) -> None:
        if not isinstance(settings, ActiveDirectorySettings):
            raise TypeError("ActiveDirectoryConnector takes ActiveDirectorySettings")
        self._settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        """Everything that decides what a read brings; servers and credentials do not."""
        described = self._settings.model_dump_json(exclude=_NOT_PART_OF_WHAT_IS_READ)
        return hashlib.sha256(f"{FORMAT}{described}{sorted(wanted.attributes)}".encode()).hexdigest()

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Yield what changed since the checkpoint, or everything."""
        past = unseal(since)
        extent = Extent.FULL if wanted.full or past is None else Extent.INCREMENTAL
        try:
            session = open_as(ActiveDirectorySession, self._settings)
        except SourceError as error:
            yield ReadStarted(extent, ", ".join(self._settings.urls))
            yield ReadEnded(Completeness.FAILED, str(error))
            return
        try:
            yield ReadStarted(extent, session.url)
            reader = reader_of(self._settings.inactive_when, wanted)
            with_lists = Interpretation(self._settings, reader, session.url)
            without_lists = Interpretation(
                self._settings, replace(reader, lists=False), session.url, doubts=with_lists.doubts
            )
            make = ActiveDirectoryMake(session, self._settings, with_lists, without_lists)
            yield from DirectoryRead(session, self._settings, with_lists, make).events(past, full=wanted.full)
        finally:
            session.close()

    def check(self) -> Iterator[Finding]:
        """Log on, look for the controller and every base, and read one user and one group."""
        subject = f"source {self._settings.name}"
        try:
            session = open_as(ActiveDirectorySession, self._settings)
        except SourceError as error:
            yield Finding(subject, ok=False, message=str(error))
            return
        try:
            who = self._settings.bind_dn or "anonymous"
            yield Finding(subject, ok=True, message=f"{session.url} answers and accepts {who}")
            whereabouts = look_around(session, self._settings, None)
            yield Finding(subject, ok=True, message=f"it is a domain controller of {whereabouts.context}")
            yield from self._check_reading(session, subject)
        except ReadInterrupted as error:
            yield Finding(subject, ok=False, message=str(error))
        finally:
            session.close()

    def close(self) -> None:
        """Sessions end with their read; there is nothing left to let go of."""

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
