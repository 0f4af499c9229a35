"""Whether the places that the settings name can be read, for `rollcall check`."""

from __future__ import annotations

from collections.abc import Generator

from connectors.base import Finding
from connectors.ldap.found import Found
from connectors.ldap.session import MissingBase, Session
from connectors.ldap.settings import DirectorySettings


def check_bases(session: Session, settings: DirectorySettings, subject: str) -> Generator[Finding, None, bool]:
    """Look for every base and the sentinel; return whether every base, or what is below it, can be seen.

    Raises ReadInterrupted.
    """
    missing = False
    for base in dict.fromkeys((*settings.user_bases, *settings.group_bases)):
        if session.exists(base):
            yield Finding(subject, ok=True, message=f"{base} can be read")
        elif _anybody_below(session, settings, base):
            yield Finding(
                subject,
                ok=True,
                message=f"{base} cannot be read itself, but what is below it can, so every read is full",
                remedy="Let the account read that entry, too, to have only the changes read.",
            )
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


def _anybody_below(session: Session, settings: DirectorySettings, base: str) -> bool:
    try:
        return any(isinstance(one, Found) for one in session.search(base, settings.scopes[base], ["1.1"], page_size=1))
    except MissingBase:
        return False
