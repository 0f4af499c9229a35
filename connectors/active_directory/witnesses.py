"""Noticing that a database was replaced by an older copy of itself.

A database that is copied back as a file keeps its invocationId, and soon gives the same numbers again, for other
changes. So the entries that had the highest numbers are remembered: an entry's number never falls (MS-ADTS 3.1.1.1.9).
"""

from __future__ import annotations

import json

from connectors.active_directory.entries import GUID, read_guid
from connectors.ldap.found import Found

NUMBER = "usnchanged"
_KEPT = 5


class Witnesses:
    """The entries with the highest numbers that were seen, by objectGUID."""

    def __init__(self, text: str = "{}") -> None:
        self._numbers: dict[str, int] = json.loads(text)

    def recall(self, text: str) -> None:
        """Take over those of the last time, as `str` gave them."""
        self._numbers = {**json.loads(text), **self._numbers}
        self._drop()

    def observe(self, found: Found) -> None:
        """Remember an entry if its number is among the highest."""
        anchor = read_guid(found.attributes.get(GUID, ()))
        number = b"".join(found.attributes.get(NUMBER, ()))
        if anchor is None or not number.isdigit():
            return
        self._numbers[anchor] = int(number)
        self._drop()

    def _drop(self) -> None:
        while len(self._numbers) > _KEPT:
            del self._numbers[min(self._numbers, key=self._numbers.__getitem__)]

    @property
    def anchors(self) -> tuple[str, ...]:
        """Who they are."""
        return tuple(self._numbers)

    def contradicted_by(self, found: Found) -> bool:
        """Tell whether it is one of them, with a lower number."""
        number = b"".join(found.attributes.get(NUMBER, ()))
        known = self._numbers.get(read_guid(found.attributes.get(GUID, ())) or "")
        return known is not None and number.isdigit() and int(number) < known

    def __str__(self) -> str:
        return json.dumps(self._numbers)
