"""What is sent of a person, attribute by attribute: the template, the values it was made from, the result."""

from __future__ import annotations

from agent.directory.unread import NOT_READ, is_unread
from agent.domain_names import address_key
from agent.explanation.facts import MappingSeen, Sent, Value
from agent.explanation.person import PersonKnown
from agent.plan.locks import Locks
from agent.population.desired import Population
from agent.population.mapping import digest_of
from agent.population.template import Template
from agent.upstream.ledger_rows import UNKNOWN

_VALUES = 5
_LONGEST = 200


def mapping_seen(population: Population, locks: Locks, known: PersonKnown) -> MappingSeen:
    """Fill in every template by the settings of today."""
    own = [
        Sent("externalId", "the anchor", known.leader.anchor, (), ()),
        Sent("active", "the state of the account in the directory", str(known.person.active).lower(), (), ()),
    ]
    if is_unread(known.leader):
        return MappingSeen(tuple(own[:1]), f"Nothing of it is sent for now: {NOT_READ}.")
    results = {"userName": known.mapped.user_name, "emails": known.mapped.email}
    lines = [
        _sent(population, known, attribute, template, results.get(attribute))
        for attribute, template in population.mapping.lines
    ]
    return MappingSeen((*lines, *own), _compared(known, theirs=_is_theirs(population, locks, known)))


def _is_theirs(population: Population, locks: Locks, known: PersonKnown) -> bool:
    """Tell whether the profile upstream is not ours to change, as `locked` in agent/plan/conditions.py does."""
    account, standing = known.account, population.policy.standing(known.mapped.email)
    if account is None or not (account.external or standing.external):
        return False
    moved = account.email != "" and account.email_key != address_key(known.mapped.email)
    return locks.profile or (locks.address and moved)


def _sent(population: Population, known: PersonKnown, attribute: str, template: Template, result: str | None) -> Sent:
    held = known.person.attributes
    filled = template.value(held)
    # Of addresses another attribute may count than the template says (agent/population/guests.py).
    types = template.looked_at(held) if result in {None, filled} else tuple(sorted(template.attributes))
    values = tuple(
        Value(
            attribute=item,
            values=tuple(_cut(value) for value in held[item][:_VALUES]),
            source=population.same_person.winner(item, known.ordered).source,
        )
        for item in types
        if any(held.get(item, ()))
    )
    without = tuple(item for item in types if not any(held.get(item, ())))
    return Sent(attribute, template.text, filled if result is None else result, values, without)


def _compared(known: PersonKnown, *, theirs: bool) -> str:
    """Say what is known of the difference. The ledger keeps a digest of the whole, so no attribute can be named."""
    account = known.account
    if account is None:
        return "Nothing of it was ever acknowledged by the upstream."
    at = f"{account.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC"
    if account.digest == digest_of(known.mapped.payload):
        return f"This is what the upstream acknowledged at {at}."
    if theirs:
        return f"It differs from what was acknowledged at {at}; but the profile is the person's own there, and stays."
    if not account.active:
        return f"The account was deactivated at {at}: when it is used again, all of it is sent."
    if account.digest == UNKNOWN:
        # Void: agent/upstream/ledger.py.
        return f"What the upstream holds of it is not known since {at}: the next update sends all of it."
    return f"It differs from what the upstream acknowledged at {at}; in which attributes is not kept."


def _cut(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
