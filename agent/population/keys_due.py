"""When it is not known yet who is one person: [same_person] by has changed, and a source has not been read since.

The keys of its entries come from attributes that nobody has asked for yet. Whoever is new may stand upstream already,
as an entry of that source; so nobody gets an account until the source has been read completely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from sqlalchemy import Connection, select

from agent.directory.marks import mark
from agent.population.persons import IS_PERSON
from agent.population.same_person import SamePerson
from agent.state.facts import fact_of, write_fact
from agent.state.tables import desired_user, entry, ledger_user

_KEYS_OF = "keys of source "
_AWAITED = "sources awaited for their keys"


def sources_with_old_keys(
    connection: Connection, rules: SamePerson, sources: Collection[str], owing: Collection[str]
) -> tuple[str, ...]:
    """Return the sources whose entries have the keys of other templates than today's, in the order of their names.

    owing: those that have not been read completely since the settings changed
    Whoever waited for a source that is read now is marked.
    """
    today = hashlib.sha256("\n".join(template.text for template in rules.by).encode()).hexdigest()[:16]
    old = []
    for name in sorted(sources):
        made_with = fact_of(connection, _KEYS_OF + name)
        if made_with == today:
            continue
        # What has no entries has no old keys; and of a source that was never noted nothing else is known.
        if rules.by and made_with is not None and name in owing and _has_people(connection, name):
            old.append(name)
        else:
            write_fact(connection, _KEYS_OF + name, today)
    awaited = ", ".join(old)
    if (fact_of(connection, _AWAITED) or "") != awaited:
        _mark_newcomers(connection)
        write_fact(connection, _AWAITED, awaited)
    return tuple(old)


def has_accounts(connection: Connection, numbers: Collection[int]) -> set[int]:
    """Return which of these entries have an account upstream."""
    return set(
        connection.execute(select(ledger_user.c.entry_id).where(ledger_user.c.entry_id.in_(list(numbers)))).scalars()
    )


def waits_for(dn: str, sources: Collection[str]) -> str:
    """Say why somebody waits."""
    return (
        f"{dn} waits: [same_person] by has changed, and {' and '.join(sources)} could not be read completely since, so "
        "it is not known whether this person has an account already. The next complete read settles it."
    )


def _has_people(connection: Connection, source: str) -> bool:
    people = select(entry.c.id).where(entry.c.source == source, IS_PERSON)
    return connection.execute(people.limit(1)).first() is not None


def _mark_newcomers(connection: Connection) -> None:
    newcomers = (
        select(desired_user.c.entry_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(ledger_user.c.entry_id.is_(None))
    )
    mark(connection, connection.execute(newcomers).scalars().all(), references_too=False)
