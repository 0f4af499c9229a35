"""Attributes that a server sends in parts: `member;range=0-1499`, and the rest when it is asked.

Microsoft calls it range retrieval of attribute values (MS-ADTS, 3.1.1.3.1.3.3).
Only a part that ends in `-*` is the last. Whatever stops the walk before, what came so far keeps its range in the
attribute's description, so that nobody takes it for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from connectors.errors import ReadInterrupted
from connectors.ldap.found import Found

_RANGE = re.compile(r"(?P<type>.+);range=(?P<first>\d+)-(?P<last>\d+|\*)")
LookUp = Callable[[str, Sequence[str]], Found | None]


def with_all_values(found: Found, look_up: LookUp) -> Found:
    """Return the entry with every ranged attribute walked to its end, or `cut` telling why one was not."""
    for key in [key for key in found.attributes if ";range=" in key]:
        part = _RANGE.fullmatch(key)
        if part is not None and part["first"] == "0":
            found = _walked(found, key, part["type"], look_up)
    return found


def _walked(found: Found, key: str, attribute: str, look_up: LookUp) -> Found:
    values, last, why = list(found.attributes[key]), key.rpartition("-")[2], ""
    while last != "*":
        start = int(last) + 1
        wanted = f"{attribute};range={start}-"
        try:
            answer = look_up(found.dn, [f"{wanted}*"])
        except ReadInterrupted as error:
            why = str(error)
            break
        following = [name for name in (answer.attributes if answer is not None else ()) if name.startswith(wanted)]
        if answer is None or not following or not answer.attributes[following[0]]:
            why = f"the values from number {start} on did not come."
            break
        values += answer.attributes[following[0]]
        last = following[0].removeprefix(wanted)
        if last != "*" and int(last) < start:
            why = f"the values from number {start} on came under the range {following[0]}."
            break
    kept = {name: held for name, held in found.attributes.items() if name not in {key, attribute}}
    if why:
        return replace(found, attributes=kept | {key: values}, cut=why)
    return replace(found, attributes=kept | {attribute: values})
