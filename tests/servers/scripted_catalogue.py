"""The global catalogue of a forest, beside a scripted domain: Samba cannot have a second domain in its forest.

As MS-ADTS describes it (3.1.1.3.1, 3.1.1.1.9): it holds the entries of every domain with some of their attributes, a
search below the root of all names finds them all, and a filter over an attribute it does not hold answers to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.servers.ber import elements
from tests.servers.scripted_active_directory import ScriptedActiveDirectory, person, unit
from tests.servers.scripted_ldap import Attributes, Message, Search, answers_to, done, page_end

EMEA = "DC=emea,DC=corp,DC=test"
EMEA_PEOPLE = f"OU=People,{EMEA}"
# isMemberOfPartialAttributeSet in the schema of Windows Server 2008 R2, and of Exchange.
HELD = {
    "objectclass", "objectcategory", "objectguid", "objectsid", "name", "cn", "samaccountname", "useraccountcontrol",
    "primarygroupid", "mail", "sn", "givenname", "displayname", "userprincipalname", "proxyaddresses",
    "serviceprincipalname", "grouptype", "isglobalcatalogready",
}  # fmt: skip
_BASE_SCOPE = 0
_NOT, _AND, _OR, _PRESENT = 0xA2, 0xA0, 0xA1, 0x87


class ScriptedCatalogue(ScriptedActiveDirectory):
    """Use as a context manager. It shows the domain, and what the domain knows to be elsewhere.

    hidden:  names of entries that it has not received, or does not show
    """

    def __init__(self, domain: ScriptedActiveDirectory) -> None:
        super().__init__(0)
        self.entries, self.elsewhere = domain.entries, domain.elsewhere
        self.hidden: set[str] = set()
        self.root["isglobalcatalogready"] = [b"TRUE"]
        self.elsewhere.setdefault(EMEA, unit(EMEA))

    def shown(self, search: Search) -> Mapping[str, Attributes]:
        del search
        everything = {**self.entries, **self.elsewhere}
        return {
            dn: {name: values for name, values in held.items() if name in HELD}
            for dn, held in everything.items()
            if dn not in self.hidden
        }

    def honest(self, search: Search) -> list[Message]:
        """The answer of a catalogue without fault."""
        if search.base or search.scope == _BASE_SCOPE:
            return super().honest(search)
        matches = [dn for dn, held in self.shown(search).items() if _answers(search.filter, held)]
        end = search.page + search.page_size
        page = [self._entry(search, dn) for dn in matches[search.page : end]]
        return [*page, done(controls=page_end(str(end).encode() if end < len(matches) else b""))]


def colleague(name: str, **attributes: Sequence[bytes]) -> tuple[str, dict[str, Sequence[bytes]]]:
    """Somebody of the other domain: the DN, and what its own domain controllers hold."""
    held = person(name, **{"mail": [f"{name}@emea.example"], "title": [b"Engineer"], **attributes})
    return f"CN={name},{EMEA_PEOPLE}", held


def _answers(wanted: tuple[int, bytes], held: Attributes) -> bool | None:
    """Evaluate a filter; None is Undefined (RFC 4511, 4.5.1.7)."""
    kind, content = wanted
    if kind == _PRESENT:
        return answers_to(wanted, held) if content.decode().lower() in HELD else None
    parts = elements(content)
    if kind in {_AND, _OR, _NOT}:
        answers = [_answers(part, held) for part in parts]
        if kind == _NOT:
            return None if answers[0] is None else not answers[0]
        decisive = kind == _OR
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive
    return answers_to(wanted, held) if parts[0][1].decode().lower() in HELD else None
