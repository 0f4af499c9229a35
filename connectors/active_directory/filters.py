"""What the filters of a source depend on, and whether a domain controller tells when that changes.

Somebody enters or leaves a filter when an attribute in it changes. Of most attributes that is told; it is not of

* back links, like memberOf: the change is one of the other entry (MS-ADTS 3.1.1.1.6);
* what is computed when it is read (constructed attributes, 3.1.1.4.5), and matching along a chain of entries;
* what each controller counts for itself, like badPwdCount (FLAG_ATTR_NOT_REPLICATED, 2.2.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ldap3.operation.search import parse_filter

from connectors.active_directory.session import ActiveDirectorySession
from connectors.ldap.found import Found

_IN_CHAIN = "1.2.840.113556.1.4.1941"
_NOT_REPLICATED, _CONSTRUCTED = 0x1, 0x4
# Known to be told of, so that nobody has to look them up: those of the filters that the connector has by itself.
_TOLD = frozenset({"objectclass", "objectcategory", "serviceprincipalname", "iscriticalsystemobject"})


def attribute_types_in(filters: Iterable[str]) -> frozenset[str]:
    """Return the attribute types that filters compare, in lower case."""
    return frozenset(_type(assertion) for assertion in _assertions(filters))


def changes_are_told(session: ActiveDirectorySession, schema: str, filters: Iterable[str]) -> bool:
    """Tell whether every change of who answers to these filters is told. Raises ReadInterrupted."""
    filters = tuple(filters)
    if any(assertion.get("matchingRule") == _IN_CHAIN for assertion in _assertions(filters)):
        return False
    types = attribute_types_in(filters) - _TOLD
    if not types:
        return True
    named = "".join(f"(lDAPDisplayName={name})" for name in sorted(types))
    described = session.search(schema, f"(|{named})", ["lDAPDisplayName", "linkID", "systemFlags"])
    told = {
        b"".join(found.attributes.get("ldapdisplayname", ())).decode("ascii", "replace").lower()
        for found in described
        if isinstance(found, Found)
        and _number(found, "linkid") % 2 == 0
        and not _number(found, "systemflags") & (_NOT_REPLICATED | _CONSTRUCTED)
    }
    return types <= told


def _assertions(filters: Iterable[str]) -> Iterator[dict[str, Any]]:
    waiting = [
        parse_filter(text, schema=None, auto_escape=None, auto_encode=False, validator=None, check_names=False)
        for text in filters
    ]
    while waiting:
        item = waiting.pop()
        waiting += item.elements
        if item.assertion:
            yield item.assertion


def _type(assertion: dict[str, Any]) -> str:
    return str(assertion["attr"]).partition(";")[0].strip().lower()


def _number(found: Found, name: str) -> int:
    values = found.attributes.get(name, ())
    return int(values[0]) if values else 0
