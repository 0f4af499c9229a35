"""What makes entries of several sources one person, and what such a person looks like.

Two entries of different sources are the same person when one template of [same_person] by gives the same text for
both. Such a text is a key: it compares without case, and an address by its domain as the DNS does.

The entries of a person stand in an order: that of [same_person] precedence, sources it does not name last; without it,
accounts before contacts, and then the order of [[sources]]. By this order
  - an attribute is that of the first entry that has it, unless [same_person.attributes] names the source that wins and
    its entry has one;
  - the person is active if its first account is; a contact is no account, and decides only where there is none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.domain_names import address_key
from agent.errors import UsageProblem
from agent.population.guests import home_address
from agent.population.template import Attributes, Template, TemplateError, parse
from agent.settings import SamePersonSettings
from connectors.base import EntryKind

Order = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """One entry of a person, as the mirror holds it."""

    number: int
    source: str
    kind: str
    active: bool
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SamePerson:
    """The rules of one connection. Without templates every entry is a person of its own.

    ranks:           the place of each source, from 0; a source that is no longer configured comes after all others
    accounts_first:  whether an account comes before a contact of whatever source
    winners:         lower-case attribute type → the source that wins
    """

    by: tuple[Template, ...] = ()
    ranks: Mapping[str, int] = field(default_factory=dict)
    accounts_first: bool = True
    winners: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> frozenset[str]:
        """The attribute types the sources have to be asked for."""
        return frozenset().union(*(template.attributes for template in self.by))

    def keys(self, attributes: Attributes) -> frozenset[str]:
        """Return the keys of an entry. Those of different templates never meet."""
        values = (template.whole(attributes) for template in self.by)
        return frozenset(f"{position}:{_comparable(value)}" for position, value in enumerate(values) if value)

    def described(self, key: str) -> str:
        """Say a key to people."""
        position, _, value = key.partition(":")
        return f"{self.by[int(position)].text} = {value}"

    def order(self, source: str, kind: str, number: int) -> Order:
        """Return the place of an entry among those of its person, for sorting."""
        later = self.accounts_first and kind != EntryKind.USER.value
        return later, self.ranks.get(source, len(self.ranks)), number

    def sorted(self, entries: Iterable[PersonEntry]) -> list[PersonEntry]:
        """Return the entries of a person in their order."""
        return sorted(entries, key=lambda entry: self.order(entry.source, entry.kind, entry.number))

    def merged(self, ordered: Sequence[PersonEntry]) -> Attributes:
        """Return the attributes of a person: all values of an attribute come from one entry."""
        types = {key for entry in ordered for key in entry.attributes}
        return {key: self.winner(key, ordered).attributes.get(key, ()) for key in sorted(types)}

    def winner(self, key: str, ordered: Sequence[PersonEntry]) -> PersonEntry:
        """Return the entry whose values of an attribute count."""
        source = self.winners.get(key)
        having = [entry for entry in ordered if any(entry.attributes.get(key, ()))]
        return next((entry for entry in having if entry.source == source), having[0] if having else ordered[0])


def active_of(ordered: Sequence[PersonEntry]) -> bool:
    """Tell whether a person is active."""
    return next((entry for entry in ordered if entry.kind == EntryKind.USER.value), ordered[0]).active


def same_person_of(settings: SamePersonSettings, sources: Sequence[str], mapped: frozenset[str]) -> SamePerson:
    """Read the settings.

    sources: the names of the configured sources, in their order; mapped: the attribute types that [mapping] uses
    Raises UsageProblem for a template that cannot be used, a source that is not there, an attribute that nobody sends.
    """
    for key, names in (("precedence", settings.precedence), ("attributes", settings.attributes.values())):
        for name in names:
            if name not in sources:
                raise UsageProblem(
                    f'same_person.{key}: there is no source "{name}". Name one of [[sources]]: {", ".join(sources)}.'
                )
    for attribute in settings.attributes:
        if attribute not in mapped:
            raise UsageProblem(
                f'same_person.attributes: no template of [mapping] uses "{attribute}". Correct it, or remove the line.'
            )
    named = dict.fromkeys((*settings.precedence, *sources))
    return SamePerson(
        by=tuple(_parse(text) for text in settings.by),
        ranks={name: rank for rank, name in enumerate(named)},
        accounts_first=not settings.precedence,
        winners=settings.attributes,
    )


def _parse(text: str) -> Template:
    try:
        template = parse(text)
    except TemplateError as error:
        raise UsageProblem(f"same_person.by: {error}.") from None
    if not template.attributes or template.whole({}):
        raise UsageProblem(
            f'same_person.by: "{text}" is the same for everybody, or for all who lack an attribute. Name an '
            'attribute in braces, like "{mail}", without a default.'
        )
    return template


def _comparable(value: str) -> str:
    # NFKC, as directories prepare texts for comparison (RFC 4518, 2.3).
    return address_key(home_address(unicodedata.normalize("NFKC", value).strip()))
