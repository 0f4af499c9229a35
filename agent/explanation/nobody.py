"""Somebody who is in no source: where was looked, and the groups that list such a name all the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, or_, select

from agent.directory.places import Places
from agent.directory.unknown import any_unknown
from agent.explanation.explanation import Found
from agent.explanation.facts import EntrySeen, UnknownName, Verdict
from agent.explanation.paths import Listed, groups_known, name_of_group, paths_to
from agent.explanation.who import holds
from agent.population.desired import Population
from agent.state.tables import membership, name, source, unreadable
from connectors.base import NameKind, SourceSettings
from connectors.distinguished_name import DistinguishedNameError, first_value, normalise

_GUID = 36  # characters
_SHOWN = 20
_Row = Row[tuple[Any, ...]]
_LOOK = (
    "Rollcall knows whom a source showed. Somebody outside of its bases, left out by its filters or classes, or not "
    "readable by its account is not among them. Look the person up in the directory as that account, compare with what "
    "is read (below), and run rollcall check"
)


def unknown_names(
    reader: Connection, population: Population, sources: Sequence[SourceSettings], who: str
) -> tuple[UnknownName, ...]:
    """Return the names in member lists that WHO may be and that no source can name."""
    places = Places(reader, sources)
    lists: dict[tuple[str, str], list[int]] = {}
    for row in reader.execute(_listed_by_nobodys_name(reader, who)):
        if _is(row, who):
            lists.setdefault((row.kind, row.value), []).append(row.group_id)
    found = []
    for (kind, value), groups in sorted(lists.items())[:_SHOWN]:
        rows = groups_known(reader, groups)
        lister = rows[groups[0]]
        dn = _dn_beside(reader, kind, value)
        place = places.of(kind, f"{value} {dn}" if dn else value, lister.source, lister.dn)
        shown = dn or (value.partition(":")[2] if kind == NameKind.UID.value else value)
        paths = paths_to(reader, population, [Listed(group, shown) for group in groups])
        listed_by = sorted(name_of_group(population, row) for row in rows.values())
        found.append(UnknownName(shown, tuple(listed_by), paths.selected, place.domain, place.remedy))
    return tuple(found)


def unreadable_entries(reader: Connection, who: str) -> tuple[EntrySeen, ...]:
    """Return what a source shows under this DN or anchor, and nobody can make sense of."""
    return tuple(
        EntrySeen(row.dn, row.source, "unknown", row.anchor, active=False, leads=True, gone=None, unreadable=row.reason)
        for row in reader.execute(select(unreadable).order_by(unreadable.c.dn))
        if who.lower() in {row.anchor, row.dn.lower()} or _normal(row.dn) == _normal(who)
    )


def verdict_on_nobody(
    reader: Connection, who: str, unknown: Collection[UnknownName], shown: Collection[EntrySeen]
) -> tuple[Found, Verdict]:
    """Say that nobody was found, and what is known all the same."""
    if shown:
        reasons = " ".join(f"source {item.source} shows {item.dn}: {item.unreadable}" for item in shown)
        return Found.UNREADABLE, Verdict(
            provisioned=False, sentence=f"{who} is not provisioned, because it cannot be understood: {reasons}"
        )
    if unknown:
        first = next(iter(unknown))
        listing = f"group {' and '.join(first.listed_by[:3])} {'lists' if len(first.listed_by) == 1 else 'list'}"
        name = "it" if first.name.casefold() == _normal(who).casefold() else first.name
        scope = "" if first.selected_groups else ", though none that is selected or in a selected one"
        sentence = f"{who} is not provisioned: {listing} {name}{scope}, and no source can name it."
        return Found.UNKNOWN_MEMBER, Verdict(
            provisioned=False,
            sentence=sentence,
            remedy=f"It lies in {first.domain}: {first.remedy}. What stands upstream is left alone.",
        )
    hint = ""
    if any_unknown(reader):
        hint = " The groups list members that no source can name, and it may be one of them: see rollcall status."
    return Found.NOBODY, Verdict(
        provisioned=False, sentence=f"{who} is not provisioned: it is in no source.", remedy=f"{_LOOK}.{hint}"
    )


def _listed_by_nobodys_name(reader: Connection, who: str) -> Select[tuple[int, str, str]]:
    lowered = who.lower().removeprefix("{").removesuffix("}")
    sources = reader.execute(select(source.c.name)).scalars().all()
    same = [
        and_(membership.c.kind.in_((NameKind.GUID.value, NameKind.SID.value)), membership.c.value == lowered),
        and_(
            membership.c.kind == NameKind.UID.value, membership.c.value.in_([f"{s}:{who.casefold()}" for s in sources])
        ),
    ]
    dn = _normal(who) if "=" in who else ""
    if dn:
        beside = select(func.substr(membership.c.value, 1, _GUID)).where(
            membership.c.kind == NameKind.FOREIGN_DN.value, func.substr(membership.c.value, _GUID + 2) == dn
        )
        same.append(and_(membership.c.kind == NameKind.DN.value, membership.c.value == dn))
        same.append(and_(membership.c.kind == NameKind.GUID.value, membership.c.value.in_(beside)))
    else:
        same.append(and_(membership.c.kind == NameKind.DN.value, holds(membership.c.value, f"={who}")))
    return (
        select(membership.c.group_id, membership.c.kind, membership.c.value)
        .where(
            or_(*same),
            ~exists().where(name.c.kind == membership.c.kind, name.c.value == membership.c.value),
        )
        .order_by(membership.c.kind, membership.c.value, membership.c.group_id)
    )


def _is(row: _Row, who: str) -> bool:
    """Tell whether a name is WHO itself, or begins with it as a DN does."""
    if row.kind != NameKind.DN.value or "=" in who:
        return True
    try:
        return first_value(row.value).casefold() == who.casefold()
    except DistinguishedNameError:
        return False


def _dn_beside(reader: Connection, kind: str, value: str) -> str:
    """Return the DN that a list has beside the GUID of a member in another domain."""
    if kind != NameKind.GUID.value:
        return ""
    beside = select(membership.c.value).where(
        membership.c.kind == NameKind.FOREIGN_DN.value,
        membership.c.value >= f"{value} ",
        membership.c.value < f"{value}!",
    )
    return str(reader.execute(beside.limit(1)).scalar() or "").partition(" ")[2]


def _normal(dn: str) -> str:
    try:
        return normalise(dn)
    except DistinguishedNameError:
        return dn.lower()
