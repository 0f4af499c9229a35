"""Whether the places that the settings name can be read, for `rollcall check`."""

from __future__ import annotations

from collections.abc import Generator

from connectors.base import Finding
from connectors.ldap.found import Found
from connectors.ldap.landmarks import look_at_landmarks
from connectors.ldap.session import MissingBase, Session
from connectors.ldap.settings import DirectorySettings
from connectors.ldap.words import NOTHING_THAT_TELLS


def check_bases(session: Session, settings: DirectorySettings, subject: str) -> Generator[Finding, None, bool]:
    """Look for every base and the sentinel; return whether every base, or what is below it, can be seen.

    Raises ReadInterrupted.
    """
    missing = False
    landmarks = look_at_landmarks(session, settings)
    for base in settings.scopes:
        if base in landmarks.known:
            yield Finding(subject, ok=True, message=f"{base} can be read")
            continue
        below = _anybody_below(session, settings, base)
        missing = missing or not below
        told = _named_only if base in landmarks.identities else _hidden
        yield told(subject, base, below=below)
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


def _hidden(subject: str, base: str, *, below: bool) -> Finding:
    if below:
        return Finding(
            subject,
            ok=True,
            message=f"{base} cannot be read itself, but what is below it can, so every read is full",
            remedy="Let the account read that entry, too, to have only the changes read. If it could be read before, "
            "nobody is taken for gone, until rollcall sync --full.",
        )
    return Finding(
        subject,
        ok=False,
        message=f"there is no {base}, or the account may not see it",
        remedy="Correct base_dn, or give the account the right to read it.",
    )


def _named_only(subject: str, base: str, *, below: bool) -> Finding:
    if below:
        return Finding(subject, ok=True, message=f"what is below {base} can be read")
    return Finding(
        subject,
        ok=False,
        message=f"{base} shows the account {NOTHING_THAT_TELLS}, and nobody below it can be seen",
        remedy="Give the account the right to read it and what is below it, or correct base_dn.",
    )


def _anybody_below(session: Session, settings: DirectorySettings, base: str) -> bool:
    try:
        return any(isinstance(one, Found) for one in session.search(base, settings.scopes[base], ["1.1"], page_size=1))
    except MissingBase:
        return False
