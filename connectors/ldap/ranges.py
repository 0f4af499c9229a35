"""Attributes that a server sends in parts: `member;range=0-1499`, and the rest when it is asked.

Microsoft calls it range retrieval of attribute values (MS-ADTS, 3.1.1.3.1.3.3). Only a part that ends in `-*` is the
last. Whatever stops the walk before, what came so far keeps its range in the attribute's description, so that nobody
takes it for the whole.

The parts are counted out of the list as it is at that moment. A value that leaves it draws all that follow one place
forward, and the next part would begin one too late. So each part is asked to begin with the last value of the one
before; if it does not, or brings another value a second time, the list has changed and is walked through once more.
Where values have no lasting order at all, a value that is missed leaves its place to one that comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from connectors.errors import ReadInterrupted
from connectors.ldap.found import Found

_RANGE = re.compile(r"(?P<type>.+);range=(?P<first>\d+)-(?P<last>\d+|\*)")
_IDENTITIES = ("entryuuid", "nsuniqueid", "objectguid")
_WALKS = 3  # through a list that changes
_CHANGED = (
    f"they changed while they were read, {_WALKS} times. The next cycle reads again; if that goes on, raise the "
    "server's limit of values in one answer."
)
LookUp = Callable[[str, Sequence[str]], Found | None]


@dataclass(frozen=True, slots=True)
class _Part:
    """Values from number `first` to number `last` of a list; to its end, if that is None."""

    first: int
    last: int | None
    values: Sequence[bytes]


class _Cut(Exception):
    """The walk cannot go on; `str()` tells why."""


class _Changed(_Cut):
    """The list is not as it was when the walk began."""


def with_all_values(found: Found, look_up: LookUp) -> Found:
    """Return the entry with every ranged attribute walked to its end, or `cut` telling why one was not."""
    for key in [key for key in found.attributes if ";range=" in key]:
        part = _RANGE.fullmatch(key)
        if part is not None and part["first"] == "0":
            found = _walked(found, key, _List(found, part["type"], look_up))
    return found


def _walked(found: Found, key: str, listed: _List) -> Found:
    kept = {name: held for name, held in found.attributes.items() if name not in {key, listed.attribute}}
    values = found.attributes[key]
    why = ""
    for walk in range(_WALKS):
        brought: list[bytes] = []
        try:
            part = listed.part_from(0) if walk else listed.part(key, found.attributes[key], 0)
            listed.walk(part, brought)
        except (_Cut, ReadInterrupted) as error:
            values, why = brought or values, str(error)
            if not isinstance(error, _Changed):
                break
        else:
            return replace(found, attributes=kept | {listed.attribute: brought})
    return replace(found, attributes=kept | {key: values}, cut=why)


class _List:
    """The values of one attribute of one entry."""

    def __init__(self, found: Found, attribute: str, look_up: LookUp) -> None:
        self.attribute = attribute
        self._dn = found.dn
        self._look_up = look_up
        self._identity = {name: found.attributes[name] for name in _IDENTITIES if name in found.attributes}

    def walk(self, part: _Part, brought: list[bytes]) -> None:
        """Add this part's values and those that follow. Raises _Cut and ReadInterrupted."""
        seen = set(part.values)
        brought += part.values
        while part.last is not None:
            part = self.part_from(part.last)
            again, *new = part.values
            if again != brought[-1] or not seen.isdisjoint(new):
                raise _Changed(_CHANGED)
            seen.update(new)
            brought += new

    def part_from(self, start: int) -> _Part:
        """Ask for the values from this number on. Raises _Cut and ReadInterrupted."""
        wanted = f"{self.attribute};range={start}-"
        answer = self._look_up(self._dn, [f"{wanted}*", *self._identity])
        if answer is None:
            raise _Cut(f"the values from number {start} on did not come.")
        if any(answer.attributes.get(name, held) != held for name, held in self._identity.items()):
            raise _Cut("it was renamed meanwhile, and its name is another entry's now. The next cycle reads again.")
        key = next((name for name in answer.attributes if name.startswith(wanted)), "")
        if start and not answer.attributes.get(key):
            raise _Changed(f"the values from number {start} on did not come.")  # the list may have become shorter
        return self.part(key, answer.attributes.get(key, ()), start)

    def part(self, key: str, values: Sequence[bytes], start: int) -> _Part:
        """Check that a part is what its range says. Raises _Cut."""
        described = _RANGE.fullmatch(key)
        if described is None or not values:
            raise _Cut(f"the values from number {start} on did not come.")
        if described["last"] == "*":
            return _Part(start, None, values)
        last = int(described["last"])
        if last <= start or len(values) != last - start + 1:
            raise _Cut(f"the values from number {start} on came under the range {key}, {len(values)} of them.")
        return _Part(start, last, values)
