"""Whether the places that the settings name can be read, for `rollcall check`."""

from __future__ import annotations

from collections.abc import Generator

from connectors.base import Finding
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings


def check_bases(session: Session, settings: DirectorySettings, subject: str) -> Generator[Finding, None, bool]:
    """Look for every base and the sentinel; return whether every base is there. Raises ReadInterrupted."""
    missing = False
    for base in dict.fromkeys((*settings.user_bases, *settings.group_bases)):
        if session.exists(base):
            yield Finding(subject, ok=True, message=f"{base} can be read")
        else:
            missing = True
            remedy = "Correct base_dn, or give the account the right to read it."
            yield Finding(
                subject, ok=False, message=f"there is no {base}, or the account may not see it", remedy=remedy
            )
    if settings.sentinel is not None:
        there = session.exists(settings.sentinel)
        remedy = "Correct sentinel, or give the account the right to read it; until then nobody is taken for gone."
        yield Finding(
            subject,
            ok=there,
            message=f"the sentinel {settings.sentinel} {'can' if there else 'cannot'} be read",
            remedy="" if there else remedy,
        )
    return not missing
