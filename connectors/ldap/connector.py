"""The `ldap` connector: what it reads and what it says of it. How it reads is told in reading.py."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import ClassVar

from connectors.base import Checkpoint, Finding, ReadEvent, SourceSettings, Wanted
from connectors.entries import MEMBER_ATTRIBUTES, reader_of
from connectors.ldap.account_states import check_account_states
from connectors.ldap.bases import check_bases
from connectors.ldap.checkpoint import unseal
from connectors.ldap.choice import LdapMake
from connectors.ldap.exploration import bases_of, fingerprint_of_certificate
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import UNKNOWN
from connectors.ldap.last_resort import EveryReadFull
from connectors.ldap.reading import Make
from connectors.ldap.session import Session
from connectors.ldap.settings import LdapSettings
from connectors.ldap.source import check_source, fingerprint_of, read_source
from connectors.ldap.watch import watch_directory


class LdapConnector:
    """Reads an LDAP directory."""

    settings_type: ClassVar[type[SourceSettings]] = LdapSettings

    def __init__(self, settings: SourceSettings) -> None:
        if not isinstance(settings, LdapSettings):
            raise TypeError("LdapConnector takes LdapSettings")
        self._settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        """Everything that decides what a read brings; servers and credentials do not."""
        return fingerprint_of(self._settings, wanted)

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Yield what changed since the checkpoint, or everything."""

        def prepare(session: Session) -> tuple[Interpretation, Make]:
            interpretation = Interpretation(self._settings, reader_of(self._settings, wanted), session.url)
            return interpretation, LdapMake(session, self._settings, interpretation)

        yield from read_source(self._settings, Session, prepare, wanted, since)

    def watch(self, wanted: Wanted, since: Checkpoint | None, stop: threading.Event) -> Iterator[str]:
        """Yield a word whenever something changed, where the server offers to tell."""
        del wanted
        yield from watch_directory(self._settings, unseal(since), stop)

    def check(self) -> Iterator[Finding]:
        """Log on, look for every base and the sentinel, read one user and one group, and see how changes are found."""
        yield from check_source(self._settings, Session, self._check_bases)

    def bases(self) -> tuple[str, ...]:
        """Log on, and return the naming contexts that may hold people."""
        return bases_of(self._settings, Session)

    def certificate(self) -> str:
        """Look at the certificate that the first server shows, without believing it."""
        return fingerprint_of_certificate(self._settings)

    def close(self) -> None:
        """Sessions end with their read; there is nothing left to let go of."""

    def _check_bases(self, session: Session, subject: str) -> Iterator[Finding]:
        settings = self._settings
        if not (yield from check_bases(session, settings, subject)):
            return
        user = self._check_one(session, subject, "user", settings.user_bases, settings.user_filter)
        yield user
        if user.ok:
            yield from check_account_states(session, settings, subject)
        group = self._check_one(session, subject, "group", settings.group_bases, settings.group_filter)
        yield group
        if group.ok:
            yield self._check_members(session, subject)
        yield self._check_changes(session, subject)

    def _check_members(self, session: Session, subject: str) -> Finding:
        settings = self._settings
        shown = "".join(f"({name}=*)" for name in MEMBER_ATTRIBUTES)
        for base in settings.group_bases:
            for found in session.search(base, f"(&{settings.group_filter}(|{shown}))", ["1.1"], page_size=1):
                if isinstance(found, Found):
                    return Finding(subject, ok=True, message="members of groups can be read")
        return Finding(
            subject,
            ok=False,
            message=f"no group below {', '.join(settings.group_bases)} shows a member",
            remedy="If there are groups with members, let the account read member, uniqueMember and memberUid.",
        )

    def _check_changes(self, session: Session, subject: str) -> Finding:
        interpretation = Interpretation(self._settings, reader_of(self._settings, Wanted()), session.url)
        make = LdapMake(session, self._settings, interpretation)
        if not make.bases().all_known():
            return Finding(subject, ok=True, message=UNKNOWN)
        detection, why = make.begin_detection()
        found_by = "every read is full"
        if detection.name != EveryReadFull.name:
            shown = "".join(f", if all show {name} as the first people and groups do" for name in detection.attributes)
            found_by = f"changes are found by {detection.name}{shown}"
        return Finding(subject, ok=True, message=found_by, remedy=f"{why}." if why and not why.endswith(".") else why)

    def _check_one(
        self, session: Session, subject: str, what: str, bases: tuple[str, ...], search_filter: str
    ) -> Finding:
        reader = reader_of(self._settings, Wanted())
        for base in bases:
            for found in session.search(base, search_filter, sorted(reader.needed - {*MEMBER_ATTRIBUTES}), page_size=1):
                if isinstance(found, Found):
                    if found.attributes.get(self._settings.anchor.lower()):
                        return Finding(
                            subject, ok=True, message=f"a {what} and its {self._settings.anchor} can be read"
                        )
                    remedy = "Let the account read that attribute, or name another that never changes as anchor."
                    message = f"{found.dn} has no {self._settings.anchor}"
                    return Finding(subject, ok=False, message=message, remedy=remedy)
        return Finding(
            subject,
            ok=False,
            message=f"no {what} answers to {search_filter} below {', '.join(bases)}",
            remedy=f"Correct {what}_filter or base_dn, or give the account the right to read them.",
        )
