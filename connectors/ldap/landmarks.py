"""What tells one directory from another, and whether it has changed, in one look at each base.

A checkpoint is worth something only for the directory it was made with. The URL does not tell: another server may
answer behind the same name, and a replica of the same directory may answer behind another. The base entry's own
immutable identity does: every replica has it, and a directory that was built anew has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings

_IDENTITIES = ("entryuuid", "nsuniqueid", "objectguid")
UNKNOWN = (
    "a base cannot be read, or does not show what tells it from others (entryUUID, nsUniqueId or objectGUID), so every "
    "read is full"
)
_CONTEXT_CSN, _ENTRY_CSN = "contextcsn", "entrycsn"


@dataclass(frozen=True, slots=True)
class Landmarks:
    """What the base entries say.

    identities:    base to what tells its entry from others, empty when it shows nothing of the kind; a base that
                   cannot be read is left out
    missing:       a base cannot be read
    context_csns:  base to OpenLDAP's contextCSN values, which stand on the suffix entry of a database and move with
                   every change below it; a base that is no suffix has none
    without_csn:   the bases that can be read and show no entryCSN
    """

    identities: Mapping[str, str]
    missing: bool
    context_csns: Mapping[str, frozenset[bytes]]
    without_csn: frozenset[str] = frozenset()

    @property
    def known(self) -> dict[str, str]:
        """The bases that show what tells them from others. Some servers show of an entry that is denied its name."""
        return {base: identity for base, identity in self.identities.items() if identity}

    def contradict(self, directory: Mapping[str, str]) -> bool:
        """Tell whether a base that can be read is another than in that directory, as far as it was known there."""
        return any(identity != directory.get(base, identity) for base, identity in self.identities.items())

    def all_known(self) -> bool:
        """Tell whether every base shows what tells it from others, so that a checkpoint can be held against it."""
        return not self.missing and all(self.identities.values())


def look_at_landmarks(session: Session, settings: DirectorySettings) -> Landmarks:
    """Look at every base. Raises ReadInterrupted."""
    identities: dict[str, str] = {}
    context_csns: dict[str, frozenset[bytes]] = {}
    without_csn: set[str] = set()
    for base in settings.scopes:
        found = session.look_up(base, [*_IDENTITIES, _CONTEXT_CSN, _ENTRY_CSN])
        attributes = found.attributes if found is not None else {}
        if found is not None:
            known = (f"{kind}={attributes[kind][0].hex()}" for kind in _IDENTITIES if attributes.get(kind))
            identities[base] = " ".join(known)
            if not attributes.get(_ENTRY_CSN):
                without_csn.add(base)
        context_csns[base] = frozenset(attributes.get(_CONTEXT_CSN, ()))
    return Landmarks(identities, len(identities) < len(settings.scopes), context_csns, frozenset(without_csn))
