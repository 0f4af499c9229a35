"""Names as Active Directory writes them when it is asked for more (MS-ADTS 3.1.1.3.4.1.5, LDAP_SERVER_EXTENDED_DN).

    <GUID=e7845a26-6b98-490d-bdab-66ebe81ef432>;<SID=S-1-5-21-1236431378-1868003424-3022800943-1105>;CN=app-a,DC=corp

The GUID stays through every rename and move, of the entry and of everything above it; so members are known by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXTENDED = re.compile(r"<GUID=(?P<guid>[0-9A-Fa-f-]{36})>;(?:<SID=(?P<sid>S-[0-9-]+)>;)?(?P<dn>.*)", re.DOTALL)
_FOREIGN = re.compile(r"CN=(?P<sid>S-1-[0-9-]+)(\\0ACNF:[^,]*)?,CN=ForeignSecurityPrincipals,", re.IGNORECASE)
_FIXED_BYTES = 8  # revision, number of parts, and a 48-bit authority
_PART_BYTES = 4


@dataclass(frozen=True, slots=True)
class ExtendedName:
    """A name taken apart. `guid` and `sid` are lower case; empty where the entry has none or none was sent."""

    dn: str
    guid: str = ""
    sid: str = ""

    @property
    def foreign_sid(self) -> str:
        """The SID that a foreign security principal stands for; empty for anything else."""
        found = _FOREIGN.match(self.dn)
        return found["sid"].lower() if found is not None else ""


def read_name(text: str) -> ExtendedName:
    """Take a name apart, extended or not."""
    found = _EXTENDED.fullmatch(text)
    if found is None:
        return ExtendedName(text)
    return ExtendedName(found["dn"], found["guid"].lower(), (found["sid"] or "").lower())


def sid_text(value: bytes) -> str:
    """Return a binary SID (MS-DTYP 2.4.2.2) as text, in lower case. Raises ValueError."""
    if len(value) < _FIXED_BYTES or len(value) != _FIXED_BYTES + _PART_BYTES * value[1]:
        raise ValueError("its objectSid is not a SID")
    parts = [
        str(int.from_bytes(value[start : start + _PART_BYTES], "little"))
        for start in range(_FIXED_BYTES, len(value), _PART_BYTES)
    ]
    return "-".join(["s", str(value[0]), str(int.from_bytes(value[2:_FIXED_BYTES], "big")), *parts])


def sibling(sid: str, relative: str) -> str:
    """Return the SID of the same domain with another relative identifier."""
    return f"{sid.rpartition('-')[0]}-{relative}"
