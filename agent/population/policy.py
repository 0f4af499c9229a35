"""Managed or external, and what follows from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.domain_names import ascii_form
from agent.population.scope import Selection, selection_of
from agent.settings import ExternalSettings, Policy

# The strictest of the rules that apply decides.
_STRICTNESS = {Policy.PROVISION: 1, Policy.REVIEW: 2, Policy.SKIP: 3}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an address stands.

    rule:  what [external] domains says of it, if anything
    """

    domain: str
    external: bool
    blocked: bool = False
    protected: bool = False
    rule: Policy | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of [external] that speak of a domain: of each setting the closest domain it names, or None."""

    managed: str | None
    blocked: str | None
    protected: str | None
    domains: str | None


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """The verified domains, and the rules for everybody else."""

    managed: frozenset[str]
    blocked: frozenset[str]
    protected: frozenset[str]
    domains: Mapping[str, Policy]
    groups: tuple[tuple[Selection, Policy], ...]
    subdomains: bool
    default: Policy
    withdraws: bool  # who stands upstream and is not wanted there by the policy is taken out again

    @property
    def digest(self) -> str:
        """Changes with every rule of this policy."""
        rules = (
            sorted(self.managed),
            sorted(self.blocked),
            sorted(self.domains.items()),
            [
                (sorted(selection.dns), [text for text, _ in selection.patterns], rule)
                for selection, rule in self.groups
            ],
            self.subdomains,
            self.default,
        )
        return hashlib.sha256(repr(rules).encode()).hexdigest()[:16]

    @property
    def leaves_everybody_out(self) -> bool:
        """Whether no external user at all is let in."""
        rules = (self.default, *self.domains.values(), *(rule for _, rule in self.groups))
        return all(rule is Policy.SKIP for rule in rules)

    def standing(self, address: str) -> Standing:
        """Judge an address by its domain, compared as the DNS does (without case, as A-labels)."""
        return self.standing_of_domain(domain_of(address))

    def standing_of_domain(self, domain: str) -> Standing:
        """Judge a domain in lower case and as A-labels."""
        lines = self.lines(domain)
        return Standing(
            domain,
            external=lines.managed is None,
            blocked=lines.blocked is not None,
            protected=lines.protected is not None,
            rule=None if lines.domains is None else self.domains[lines.domains],
        )

    def lines(self, domain: str) -> Lines:
        """Return what makes the standing of a domain what it is."""
        return Lines(
            managed=self._closest(domain, self.managed),
            blocked=self._closest(domain, self.blocked),
            protected=self._closest(domain, self.protected),
            domains=self._closest(domain, self.domains),
        )

    def rule_for_group(self, normalised_dn: str, name: str) -> Policy | None:
        """Return the strictest of the rules of [external] groups that name this group."""
        return strictest(rule for selection, rule in self.groups if selection.selects(normalised_dn, name))

    def lines_for_group(self, normalised_dn: str, name: str) -> list[tuple[str, Policy]]:
        """Return the lines of [external] groups that name this group, as they are written, with their rules."""
        return [(line, rule) for selection, rule in self.groups for line in selection.lines(normalised_dn, name)]

    def _closest(self, domain: str, named: Iterable[str]) -> str | None:
        """Return the longest of the named domains that this one is, or is below of."""
        candidates = [
            parent for parent in named if domain == parent or (self.subdomains and domain.endswith(f".{parent}"))
        ]
        return max(candidates, key=len, default=None)


def strictest(rules: Iterable[Policy | None]) -> Policy | None:
    """Return the strictest of some rules, or None where there is none."""
    return max((rule for rule in rules if rule is not None), key=_STRICTNESS.__getitem__, default=None)


def domain_of(address: str) -> str:
    """Return the domain of an address in lower case and as A-labels; empty when there is none."""
    domain = address.rpartition("@")[2] if "@" in address else ""
    try:
        return ascii_form(domain)
    except ValueError:
        return domain.strip().rstrip(".").lower()  # equal to itself only


def policy_of(settings: ExternalSettings) -> DomainPolicy:
    """Read the settings, whose domains are already A-labels. Raises UsageProblem."""
    return DomainPolicy(
        managed=frozenset(settings.managed_domains),
        blocked=frozenset(settings.blocked_domains),
        protected=frozenset(settings.protected_domains),
        domains=settings.domains,
        groups=tuple((selection_of([written], "external.groups"), rule) for written, rule in settings.groups.items()),
        subdomains=settings.subdomains,
        default=settings.policy,
        withdraws=settings.withdrawal == "deactivate",
    )
