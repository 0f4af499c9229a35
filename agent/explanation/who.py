"""Whom somebody asks for: by what WHO may name an entry, the most exact way first.

Nothing is compared with case, and addresses as everywhere (agent/domain_names.py): the one in the directory, the one
that is sent, and the one the account has upstream. One search of the directory's attributes is a look at every entry,
which takes some tenths of a second of a hundred thousand: this is for a command that a person gives.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select

from agent.domain_names import address_key
from agent.errors import UsageProblem
from agent.explanation.facts import Candidate
from agent.population.desired import Population
from agent.population.guests import home_address
from agent.population.persons import attributes_of, leaders_of
from agent.state.database import batched
from agent.state.tables import desired_user, entry, former_account, ledger_group, ledger_user, name, source
from connectors.base import NameKind
from connectors.distinguished_name import DistinguishedNameError, first_value, normalise

_LONGEST = 1000  # characters; SQLite takes no longer patterns than 50,000 bytes
_NAMES = ("cn", "displayname", "uid", "samaccountname")
_BATCH = 500
_ESCAPE = "!"
_Row = Row[tuple[Any, ...]]
_Matches = Iterator[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that WHO means: of a person with several, the one that leads. `by`: what of it is WHO."""

    number: int
    by: str


def readable(who: str) -> str:
    """Return WHO without the blanks around it. Raises UsageProblem for what nobody can be called."""
    text = who.strip()
    if not text:
        raise UsageProblem("WHO is empty. Name a person by e-mail address, DN, user name, anchor, SCIM id or name.")
    if len(text) > _LONGEST:
        raise UsageProblem(f"WHO is longer than {_LONGEST} characters. Name one person, like anna@example.com.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise UsageProblem(
            "WHO holds control characters, or bytes that are no text in this terminal's character set. Write it anew, "
            "or name the person by anchor or SCIM id."
        )
    return text


def matches(reader: Connection, population: Population, who: str) -> list[Match]:
    """Return whom WHO means. Of several ways to understand it the most exact one counts that means anybody."""
    ways: tuple[Callable[[Connection, Population, str], _Matches], ...] = (_by_identity, _by_address, _by_name)
    for way in ways:
        found: dict[int, str] = {}
        for number, by in way(reader, population, who):
            found.setdefault(number, by)
        if found:
            return _of_persons(reader, found)
    return []


def candidates(reader: Connection, found: Iterable[Match]) -> list[Candidate]:
    """Describe several, for somebody to choose from."""
    by = {match.number: match.by for match in found}
    rows: list[_Row] = []
    for some in batched(sorted(by), _BATCH):
        rows += reader.execute(select(entry).where(entry.c.id.in_(some))).all()
    rows.sort(key=lambda row: (row.source, row.dn.casefold(), row.id))
    return [Candidate(row.kind, row.dn, row.source, row.anchor, row.present, by[row.id]) for row in rows]


def _of_persons(reader: Connection, found: Mapping[int, str]) -> list[Match]:
    """Let whoever leads stand for the others, and leave out who is gone and has nothing upstream, if others are there.

    An entry that was deleted and made again has the same address as the one that is gone.
    """
    persons: dict[int, str] = {}
    for number, by in found.items():
        (leader,) = leaders_of(reader, frozenset({number}))
        if number == leader:
            persons[leader] = by
        persons.setdefault(leader, by)
    there: set[int] = set()
    for some in batched(sorted(persons), _BATCH):
        accounts = or_(*(exists().where(table.c.entry_id == entry.c.id) for table in (ledger_user, ledger_group)))
        known = select(entry.c.id).where(entry.c.id.in_(some), or_(entry.c.present, accounts))
        there |= set(reader.execute(known).scalars())
    return [Match(number, by) for number, by in sorted(persons.items()) if number in there or not there]


def _by_identity(reader: Connection, population: Population, who: str) -> _Matches:
    """What belongs to one entry alone."""
    del population
    lowered = who.lower()
    anchors = [lowered, lowered.removeprefix("{").removesuffix("}")]
    yield from _all(reader, entry.c.id, entry.c.anchor.in_(anchors), by="anchor")
    yield from _all(reader, name.c.entry_id, and_(name.c.kind == NameKind.SID.value, name.c.value == lowered), by="SID")
    for table in (ledger_user, former_account, ledger_group):
        yield from _all(reader, table.c.entry_id, func.lower(table.c.scim_id) == lowered, by="SCIM id")
    try:
        dn = normalise(who) if "=" in who else ""
    except DistinguishedNameError:
        return
    if not dn:
        return
    names = and_(name.c.kind == NameKind.DN.value, name.c.value == dn)
    found = list(_all(reader, name.c.entry_id, and_(names, name.c.former_since.is_(None)), by="DN"))
    found = found or list(_all(reader, name.c.entry_id, names, by="former DN"))
    yield from found
    if not found:
        # Whoever is gone has no names any more.
        gone = select(entry).where(entry.c.present.is_(False), holds(entry.c.dn, first_value(who)))
        yield from ((row.id, "DN") for row in reader.execute(gone) if _same_dn(row.dn, dn))


def _by_address(reader: Connection, population: Population, who: str) -> _Matches:
    """The address in the directory, the one that is sent, and the one that stands upstream; the user names too."""
    key = address_key(home_address(who))
    address, user_name = "e-mail address", "user name"
    yield from _all(reader, desired_user.c.entry_id, desired_user.c.email_key == key, by=address)
    yield from _all(reader, desired_user.c.entry_id, desired_user.c.user_name_key == who.casefold(), by=user_name)
    yield from _all(reader, ledger_user.c.entry_id, ledger_user.c.email_key == key, by=f"{address} upstream")
    same_name = ledger_user.c.user_name_key == who.casefold()
    yield from _all(reader, ledger_user.c.entry_id, same_name, by=f"{user_name} upstream")
    replaced = func.lower(former_account.c.user_name) == who.lower()
    yield from _all(reader, former_account.c.entry_id, replaced, by=f"former {user_name} upstream")
    types = population.mapping.email.attributes | population.mapping.user_name.attributes
    local, at, _ = who.rpartition("@")
    # A guest's logon name has another domain at its end (agent/population/guests.py).
    texts = [f'"{_in_json(who)}"', *([f"{_in_json(local)}@", f"{_in_json(local)}_"] if at else [])]
    for row in reader.execute(select(entry).where(or_(*(holds(entry.c.attributes, text) for text in texts)))):
        held = attributes_of(row)
        if any(address_key(home_address(value)) == key for item in types for value in held.get(item, ())):
            yield row.id, address


def _by_name(reader: Connection, population: Population, who: str) -> _Matches:
    del population
    sources = reader.execute(select(source.c.name)).scalars().all()
    uids = [f"{item}:{who.casefold()}" for item in sources]
    yield from _all(reader, name.c.entry_id, and_(name.c.kind == NameKind.UID.value, name.c.value.in_(uids)), by="name")
    for row in reader.execute(select(entry).where(holds(entry.c.attributes, f'"{_in_json(who)}"'))):
        held = attributes_of(row)
        if any(_folded(value) == _folded(who) for item in _NAMES for value in held.get(item, ())):
            yield row.id, "name"


def _all(reader: Connection, number: ColumnElement[int], condition: ColumnElement[bool], *, by: str) -> _Matches:
    for found in reader.execute(select(number).where(condition)).scalars():
        yield found, by


def holds(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Tell whether a text is in a column, as far as a database can; whatever it finds has to be compared again."""
    return column.ilike(f"%{''.join(map(_pattern, unicodedata.normalize('NFC', text)))}%", escape=_ESCAPE)


def _pattern(character: str) -> str:
    if not character.isascii():
        return "%"  # databases differ in how they compare such letters, and JSON has escapes for them
    return f"{_ESCAPE}{character}" if character in f"%_{_ESCAPE}" else character


def _in_json(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"")


def _same_dn(dn: str, normalised: str) -> bool:
    try:
        return normalise(dn) == normalised
    except DistinguishedNameError:
        return False


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
