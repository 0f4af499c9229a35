"""Noticing that a database was replaced by an older copy of itself.

A database that is copied back as a file keeps its invocationId, and soon gives the same numbers again, for other
changes. So the entries that had the highest numbers are remembered: an entry's number never falls (MS-ADTS 3.1.1.1.9),
and a deleted entry keeps it. One that cannot be found any more may never have been in the copy; it proves nothing.

All that changed last may be newcomers, of which the copy shows nothing. So groups are remembered beyond that: one whose
list is older in the copy has changed since the copy was made, and if it was there already, it shows a lower number now.
And when nobody at all can be found any more, that is what a copy of before them all looks like.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.active_directory.entries import GUID, read_guid
from connectors.ldap.found import Found

U_S_N_CHANGED = "uSNChanged"
NUMBER = U_S_N_CHANGED.lower()
_NEWEST, _GROUPS = "newest", "groups"
_KEPT = {_NEWEST: 5, _GROUPS: 20}
_Numbers = Mapping[str, Mapping[str, int]]


class Witnesses:
    """The entries, and the groups, with the highest numbers that were seen, by objectGUID."""

    def __init__(self, text: str = "{}") -> None:
        told = json.loads(text)
        self._numbers: dict[str, dict[str, int]] = {kind: told.get(kind, {}) for kind in _KEPT}

    def observe(self, found: Found) -> None:
        """Remember an entry if its number is among the highest."""
        anchor, number = read_guid(found.attributes.get(GUID, ())), _number(found)
        if anchor is None or number is None:
            return
        self._remember(_NEWEST, anchor, number)
        if any(value.lower() == b"group" for value in found.attributes.get("objectclass", ())):
            self._remember(_GROUPS, anchor, number)

    def with_newer(self, newer: Witnesses) -> Witnesses:
        """Return the highest of both; `newer` knows better of those it has."""
        highest = {}
        for kind, kept in _KEPT.items():
            both = {**self._numbers[kind], **newer._numbers[kind]}
            highest[kind] = {anchor: both[anchor] for anchor in sorted(both, key=both.__getitem__)[-kept:]}
        return _witnesses(highest)

    @property
    def anchors(self) -> tuple[str, ...]:
        """Who they are."""
        return tuple(self._all)

    def heard(self, search: Iterable[Found]) -> Testimony:
        """Compare them with what a search for them finds now."""
        now = {read_guid(found.attributes.get(GUID, ())): _number(found) for found in search}
        shown = {anchor: number for anchor in self._all if (number := now.get(anchor)) is not None}
        lower = any(number < self._all[anchor] for anchor, number in shown.items())
        confirmed = {
            kind: {anchor: shown[anchor] for anchor in numbers if anchor in shown}
            for kind, numbers in self._numbers.items()
        }
        # Of a source without groups a few people may all be deleted, and nothing hangs on what an older copy says.
        nobody = not now and bool(self._numbers[_GROUPS])
        return Testimony(lower or nobody, len(shown) == len(self._all), _witnesses(confirmed))

    def __str__(self) -> str:
        return json.dumps(self._numbers)

    @property
    def _all(self) -> dict[str, int]:
        return {anchor: number for numbers in self._numbers.values() for anchor, number in numbers.items()}

    def _remember(self, kind: str, anchor: str, number: int) -> None:
        numbers = self._numbers[kind]
        numbers[anchor] = number
        while len(numbers) > _KEPT[kind]:
            del numbers[min(numbers, key=numbers.__getitem__)]


@dataclass(frozen=True, slots=True)
class Testimony:
    """What they say.

    contradicted:  one has a lower number than before; or not one of them can be found, and there were groups among them
    unanimous:     all of them can be seen, with their numbers
    confirmed:     those that can, as they are now
    """

    contradicted: bool
    unanimous: bool
    confirmed: Witnesses


def _witnesses(numbers: _Numbers) -> Witnesses:
    return Witnesses(json.dumps(numbers))


def any_of(anchors: Sequence[str]) -> str:
    """Return the filter that finds entries by their objectGUID."""
    return f"(|{''.join(f'(objectGUID={escaped(uuid.UUID(anchor).bytes_le)})' for anchor in anchors)})"


def escaped(value: bytes) -> str:
    """Return a binary value as a filter wants it (RFC 4515, section 3)."""
    return "".join(f"\\{byte:02x}" for byte in value)


def _number(found: Found) -> int | None:
    number = b"".join(found.attributes.get(NUMBER, ()))
    return int(number) if number.isdigit() else None
