"""Whether anybody shows the attributes that tell who is disabled, for `rollcall check`.

Most directories have them only on those who are: nothing else tells a right that is missing from nobody being disabled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.base import Finding
from connectors.errors import ReadInterrupted
from connectors.ldap.found import Found
from connectors.ldap.session import MissingBase, Session
from connectors.ldap.settings import LdapSettings

# RFC 4512, 4.1.2: one name, or several in brackets.
_NAMES = re.compile(rb"\bNAME\s+(?:'([^']*)'|\(([^)]*)\))")
_NAME = re.compile(rb"'([^']*)'")


def check_account_states(session: Session, settings: LdapSettings, subject: str) -> Iterator[Finding]:
    """Tell of each attribute of inactive_when that the server knows and nobody shows. Raises ReadInterrupted."""
    wanted = {condition.partition("=")[0].strip() for condition in settings.inactive_when}
    known = _known_types(session) if wanted else frozenset()
    for name in sorted(wanted):
        if name.lower() not in known:
            continue
        try:
            shown = _anybody_shows(session, settings, name)
        except ReadInterrupted as error:  # a search without an index, which a large directory may cut short
            yield Finding(subject, ok=True, message=f"whether anybody shows {name} is not known. {error}")
            continue
        if not shown:
            yield Finding(
                subject,
                ok=True,
                message=f"nobody shows {name} (inactive_when): either nobody is disabled by it, or the account may not "
                "read it, and then whoever is disabled stays active",
                remedy=f"If somebody is, let the account read and search {name} of the people.",
            )


def _anybody_shows(session: Session, settings: LdapSettings, name: str) -> bool:
    for base in settings.user_bases:
        try:
            people = session.search(base, f"(&{settings.people}({name}=*))", ["1.1"], page_size=1)
            if any(isinstance(one, Found) for one in people):
                return True
        except MissingBase:  # told already
            continue
    return False


def _known_types(session: Session) -> frozenset[str]:
    """The attribute types of the server's schema, lower case; none where it does not show its schema."""
    root = session.look_up("", ["subschemaSubentry"])
    places = root.attributes.get("subschemasubentry", ()) if root is not None else ()
    names = set[str]()
    for place in places:
        schema = session.look_up(place.decode("utf-8", "replace"), ["attributeTypes"])
        for described in schema.attributes.get("attributetypes", ()) if schema is not None else ():
            found = _NAMES.search(described)
            several = ([found[1]] if found[1] else _NAME.findall(found[2])) if found is not None else ()
            names.update(name.decode("utf-8", "replace").lower() for name in several)
    return frozenset(names)
