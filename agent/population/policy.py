"""Managed or external, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.settings import ExternalSettings


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a user stands: the domain of the address that is sent, and what the policy makes of it."""

    domain: str
    external: bool
    provisioned: bool


@dataclass(frozen=True, slots=True)
class DomainPolicy:
    """The verified domains and the policy for everybody else."""

    managed: frozenset[str]
    subdomains: bool
    provision_external: bool

    def standing(self, address: str) -> Standing:
        """Judge an address by its domain, compared as the DNS does (without case, in IDNA form)."""
        domain = domain_of(address)
        managed = domain in self.managed or (
            self.subdomains and any(domain.endswith(f".{parent}") for parent in self.managed)
        )
        return Standing(domain, external=not managed, provisioned=managed or self.provision_external)


def domain_of(address: str) -> str:
    """Return the domain of an address in lower case and IDNA form; empty when there is none."""
    domain = address.rpartition("@")[2].strip().rstrip(".").lower() if "@" in address else ""
    try:
        return domain.encode("idna").decode("ascii") if domain else ""
    except UnicodeError:
        return domain


def policy_of(settings: ExternalSettings) -> DomainPolicy:
    """Read the settings, whose domains are already in IDNA form."""
    return DomainPolicy(
        managed=frozenset(settings.managed_domains),
        subdomains=settings.subdomains,
        provision_external=settings.policy == "provision",
    )
