"""Noticing that a database was replaced by an older copy of itself.

A database that is copied back as a file keeps its invocationId, and soon gives the same numbers again, for other
changes. So the entries that had the highest numbers are remembered: an entry's number never falls (MS-ADTS 3.1.1.1.9),
and a deleted entry keeps it. One that cannot be found any more may never have been in the copy; it proves nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connectors.active_directory.entries import GUID, read_guid
from connectors.ldap.found import Found

NUMBER = "usnchanged"
_KEPT = 5


class Witnesses:
    """The entries with the highest numbers that were seen, by objectGUID."""

    def __init__(self, text: str = "{}") -> None:
        self._numbers: dict[str, int] = json.loads(text)

    def observe(self, found: Found) -> None:
        """Remember an entry if its number is among the highest."""
        anchor, number = read_guid(found.attributes.get(GUID, ())), _number(found)
        if anchor is None or number is None:
            return
        self._numbers[anchor] = number
        while len(self._numbers) > _KEPT:
            del self._numbers[min(self._numbers, key=self._numbers.__getitem__)]

    def with_newer(self, newer: Witnesses) -> Witnesses:
        """Return the highest of both; `newer` knows better of those it has."""
        both = {**self._numbers, **newer._numbers}
        highest = sorted(both, key=both.__getitem__)[-_KEPT:]
        return Witnesses(json.dumps({anchor: both[anchor] for anchor in highest}))

    @property
    def anchors(self) -> tuple[str, ...]:
        """Who they are."""
        return tuple(self._numbers)

    def heard(self, search: Iterable[Found]) -> Testimony:
        """Compare them with what a search for them finds now."""
        now = {read_guid(found.attributes.get(GUID, ())): _number(found) for found in search}
        confirmed: dict[str, int] = {}
        contradicted = False
        for anchor, before in self._numbers.items():
            number = now.get(anchor)
            if number is not None:
                confirmed[anchor] = number
                contradicted = contradicted or number < before
        return Testimony(contradicted, len(confirmed) == len(self._numbers), Witnesses(json.dumps(confirmed)))

    def __str__(self) -> str:
        return json.dumps(self._numbers)


@dataclass(frozen=True, slots=True)
class Testimony:
    """What they say.

    contradicted:  one has a lower number than before
    unanimous:     all of them can be seen, with their numbers
    confirmed:     those that can, as they are now
    """

    contradicted: bool
    unanimous: bool
    confirmed: Witnesses


def any_of(anchors: Sequence[str]) -> str:
    """Return the filter that finds entries by their objectGUID."""
    return f"(|{''.join(f'(objectGUID={escaped(uuid.UUID(anchor).bytes_le)})' for anchor in anchors)})"


def escaped(value: bytes) -> str:
    """Return a binary value as a filter wants it (RFC 4515, section 3)."""
    return "".join(f"\\{byte:02x}" for byte in value)


def _number(found: Found) -> int | None:
    number = b"".join(found.attributes.get(NUMBER, ()))
    return int(number) if number.isdigit() else None
