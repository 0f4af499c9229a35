"""Managed or external, and what follows for each membership: by which line of the settings, and by whose decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agent.directory.unread import NOT_READ, is_unread
from agent.explanation.facts import Membership, PolicySeen
from agent.explanation.guarded import Held
from agent.explanation.person import PersonKnown, label_of
from agent.population.desired import Population
from agent.population.opt_in import gate_of
from agent.population.policy import DomainPolicy, strictest
from agent.settings import Policy
from agent.state.tables import decided_user, decision, rejected
from connectors.base import EntryKind
from connectors.distinguished_name import normalise

NOT_WHOLE = "the list of the group, or of one in it, is not known to be whole, so nobody is removed from it"
_Row = Row[tuple[Any, ...]]


def policy_seen(reader: Connection, population: Population, known: PersonKnown) -> PolicySeen | None:
    """Judge the address that is sent, and the one that stands upstream where that is of another domain."""
    address = known.mapped.email
    if not address:
        return None
    policy = population.policy
    standing = policy.standing(address)
    sentences = _about_domain(policy, standing.domain)
    if standing.external:
        sentences += [*_about_decisions(reader, population, known)]
    held = known.account.domain if known.account is not None else ""
    if held and held != standing.domain:
        sentences += [f"The account upstream has an address of {held}.", *_about_domain(policy, held)]
    return PolicySeen(address, standing.domain, "external" if standing.external else "managed", tuple(sentences))


def memberships_seen(
    reader: Connection, population: Population, known: PersonKnown, groups: Sequence[_Row], held: Held
) -> tuple[Membership, ...]:
    """Describe the groups of a person, and what the policy makes of each."""
    unread = NOT_READ if is_unread(known.leader) else None
    found = [
        Membership(
            group=label_of(row),
            dn=row.dn,
            lines=tuple(_scope_lines(population, row)),
            listed=bool(row.listed),
            let_in=bool(row.listed and row.provisioned),
            rule=_rule(population, known, row) if row.listed else "",
            upstream=bool(row.upstream),
            in_doubt=bool(row.in_doubt),
            problem=row.problem or _refused(reader, row),
            kept=(unread or _kept(known, row)) if row.upstream and not row.listed else None,
            held=held.of_group(row.group_scim_id),
        )
        for row in groups
    ]
    return tuple(sorted(found, key=lambda item: (item.group.casefold(), item.dn)))


def deciding_line(policy: DomainPolicy, domain: str, group_lines: Sequence[tuple[str, Policy]]) -> tuple[str, Policy]:
    """Return the line that decides about an external user in a group, and what it says: the strictest that applies."""
    lines = policy.lines(domain)
    rules = [(f'[external.groups] "{line}" = "{rule}"', rule) for line, rule in group_lines]
    if lines.domains is not None:
        rule = policy.domains[lines.domains]
        rules.insert(0, (f'[external.domains] "{lines.domains}" = "{rule}"', rule))
    decides = strictest(rule for _, rule in rules)
    return next(
        ((line, rule) for line, rule in rules if rule is decides),
        (f'[external] policy = "{policy.default}"', policy.default),
    )


def _about_domain(policy: DomainPolicy, domain: str) -> list[str]:
    lines = policy.lines(domain)
    if lines.managed is None:
        sentences = [f"{domain} is external: no line of [external] managed_domains names it."]
        if lines.domains is not None:
            sentences.append(f'Its rule is [external.domains] "{lines.domains}" = "{policy.domains[lines.domains]}".')
    else:
        sentences = [f"{domain} is managed: {_line(lines.managed, domain)} of [external] managed_domains."]
    if lines.blocked is not None:
        sentences.append(f"{domain} is blocked: {_line(lines.blocked, domain)} of [external] blocked_domains.")
    if lines.protected is not None:
        sentences.append(f"{domain} is protected: {_line(lines.protected, domain)} of [external] protected_domains.")
    return sentences


def _line(named: str, domain: str) -> str:
    below = "" if named == domain else " (subdomains = true)"
    return f'by the line "{named}"{below}'


def _about_decisions(reader: Connection, population: Population, known: PersonKnown) -> list[str]:
    sentences = []
    gate = gate_of(reader, population.policy)
    if not gate.is_open:
        sentences.append(f"External users are not let in: {gate.reason.removeprefix('external, and ')}.")
    made = reader.execute(
        select(decision)
        .join(decided_user, decided_user.c.decision_id == decision.c.id)
        .where(decided_user.c.entry_id.in_(known.numbers))
        .order_by(decision.c.id.desc())
        .limit(1)
    ).first()
    if made is not None:
        sentences.append(
            f"{made.decided_by} opted in at {made.decided_at:%Y-%m-%d %H:%M} UTC, for the list {made.list_digest} of "
            f"{made.users} with this person on it."
        )
    return sentences


def _rule(population: Population, known: PersonKnown, group: _Row) -> str:
    """Say what decides about one membership; empty for whoever is managed and not blocked."""
    policy = population.policy
    standing = policy.standing(known.mapped.email)
    if standing.blocked:
        return "[external] blocked_domains"
    if not standing.external or not known.mapped.email:
        return ""
    return deciding_line(policy, standing.domain, policy.lines_for_group(normalise(group.dn), label_of(group)))[0]


def _kept(known: PersonKnown, group: _Row) -> str | None:
    """Say what keeps a membership that the directory does not show any more."""
    if known.account is not None and known.account.guarded:
        return "[guard] protected names the account"
    if group.guarded:
        return "[guard] protected names the group"
    if known.account is not None and known.account.protected:
        return "the domain of the account is protected"
    if group.selected and not group.whole:
        return NOT_WHOLE
    if known.claimed is not None:
        return f"{known.claimed} has the same user name, and may be the same person"
    return None


def _scope_lines(population: Population, group: _Row) -> list[str]:
    if not group.selected or group.kind != EntryKind.GROUP.value:
        return []
    return population.scope.selection.lines(normalise(group.dn), label_of(group))


def _refused(reader: Connection, group: _Row) -> str | None:
    rows = reader.execute(select(rejected).where(rejected.c.entry_id == group.id).order_by(rejected.c.operation))
    return "; ".join(f"the upstream refused to {row.operation}: {row.reason}" for row in rows) or None
