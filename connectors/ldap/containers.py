"""Noticing that a whole subtree was renamed or moved.

Servers record such a change at the container alone: the entries below it get new names, may even leave the base or
come into it, and no cookie and no timestamp tells so. The containers are few, so their names are compared instead;
when one of them has changed, the directory is read in full.
"""

from __future__ import annotations

import hashlib

from connectors.ldap.found import Found
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings


def digest_of_containers(session: Session, settings: DirectorySettings) -> str:
    """Return what changes when a container below the bases is added, renamed, moved or deleted.

    Raises ReadInterrupted.
    """
    names = set()
    for base in settings.scopes:
        for found in session.search(base, settings.container_filter, [settings.anchor]):
            if isinstance(found, Found):
                anchor = b"".join(found.attributes.get(settings.anchor.lower(), ()))
                names.add(f"{anchor.hex()} {found.dn}")
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
