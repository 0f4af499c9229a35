"""[[sources]] with connector = "active-directory"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from connectors.active_directory.locator import (
    DomainSearch,
    catalogue_port,
    check_domain,
    check_site,
    controllers_of,
    read_dns_server,
)
from connectors.base import Reach
from connectors.distinguished_name import domain_of, normalise
from connectors.ldap.settings import DirectoryServer, DirectorySettings, check_addresses

_CONTAINERS = ("organizationalUnit", "organization", "locality", "country", "domainDNS", "container")
State = Literal["disabled", "locked", "expired", "contact"]


class ActiveDirectorySettings(DirectorySettings):
    r"""Which domain controllers, how to log on, and what to read of one domain.

    urls:              the domain controllers; or else
    domain:            the domain whose controllers are found by DNS (outside of it only with ca_file or by Kerberos),
    site:              those of this site first,
    dns_servers:       by asking these servers; none: those of this machine
    scheme:            how controllers found by DNS are reached: ldaps (port 636), or ldap with StartTLS
    bind_dn:           a DN, a user principal name (reader@corp.example) or DOMAIN\user
    base_dn:           the domain (DC=corp,DC=example), or units of it
    changes:           how changes are found; auto takes the first that works
    inactive_when:     the states of an account that make its owner inactive; contact: whoever has no account
    service_accounts:  also accounts with a service principal name
    critical_accounts: also Administrator, Guest and the like (isCriticalSystemObject)
    replication_delay: how long another domain controller may need to hear of what the last one knew
    global_catalog:    look members in other domains of the forest up in the global catalogue; it is found at the
                       controllers (ports 3269 and 3268), or by DNS where they are, or else at
    global_catalog_urls
    """

    not_part_of_what_is_read: ClassVar[frozenset[str]] = DirectorySettings.not_part_of_what_is_read | {
        "domain", "site", "dns_servers", "scheme", "replication_delay", "global_catalog_urls",
    }  # fmt: skip
    # By objectCategory (MS-ADTS 3.1.1.3.1.3.5): classes derived from container have one of their own. They hold no
    # people, and there are many: for every person with a phone Exchange makes one, msExchActiveSyncDevices.
    container_filter: ClassVar[str] = f"(|{''.join(f'(objectCategory={name})' for name in _CONTAINERS)})"

    urls: tuple[str, ...] = ()
    domain: str = ""
    site: str = ""
    dns_servers: tuple[str, ...] = ()
    scheme: Literal["ldaps", "ldap"] = "ldaps"
    anchor: Literal["objectGUID"] = "objectGUID"
    user_filter: str = "(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))"
    group_filter: str = "(objectClass=group)"
    changes: Literal["auto", "dirsync", "usn", "full"] = "auto"
    inactive_when: tuple[State, ...] = Field(default=("disabled",))
    service_accounts: bool = False
    critical_accounts: bool = False
    replication_delay: int = Field(default=3600, ge=0, le=604_800)
    global_catalog: bool = False
    global_catalog_urls: tuple[str, ...] = ()

    @field_validator("global_catalog_urls", mode="before")
    @classmethod
    def _one_catalogue_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("global_catalog_urls")
    @classmethod
    def _catalogue_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(url if urlsplit(url).port else at_catalogue_port(url) for url in check_addresses(value))

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        return check_domain(value)

    @field_validator("site")
    @classmethod
    def _site(cls, value: str) -> str:
        return check_site(value)

    @field_validator("dns_servers", mode="before")
    @classmethod
    def _one_dns_server_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("dns_servers")
    @classmethod
    def _dns_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for server in value:
            read_dns_server(server)
        return value

    @model_validator(mode="after")
    def _one_way_to_the_controllers(self) -> Self:
        if not self.urls and not self.domain:
            raise ValueError("name the domain controllers as urls, or a domain whose controllers DNS knows as domain")
        if self.urls and self.domain:
            raise ValueError("set either urls or domain, not both")
        for setting in ("site", "dns_servers", "scheme"):
            if self.urls and setting in self.model_fields_set:
                raise ValueError(f"{setting} goes with domain only, and urls names the controllers already")
        if self.global_catalog_urls and not self.global_catalog:
            raise ValueError("global_catalog_urls goes with global_catalog = true; set that, or remove the line")
        if self.domain and not self.starttls:
            raise ValueError("starttls = false would send the password unencrypted; remove the line")
        return self

    def servers(self) -> Iterator[DirectoryServer]:
        """Yield the domain controllers in the order in which to try them. Raises SourceUnreachable."""
        return controllers_of(self.domain_search) if self.domain else super().servers()

    def catalogue(self, forest: Callable[[], str]) -> CatalogueSettings:
        """Return how to reach the global catalogue. `forest`: names the forest, if DNS has to be asked for that."""
        urls = self.global_catalog_urls or tuple(at_catalogue_port(url) for url in self.urls)
        here = {name: getattr(self, name) for name in type(self).model_fields}
        # Nothing in it has to be checked again.
        return CatalogueSettings.model_construct(**here | {"urls": urls}, forest="" if urls else forest())

    @property
    def asks_second_hand(self) -> bool:
        """Whether the global catalogue is asked."""
        return self.global_catalog

    @property
    def other_domains(self) -> str:
        """Ask the global catalogue."""
        if self.global_catalog:
            return ""
        return f"set global_catalog = true in source {self.name}, if that is a domain of the same forest"

    @property
    def domain_search(self) -> DomainSearch:
        """How the controllers of `domain` are found."""
        return DomainSearch(
            source=self.name,
            domain=self.domain,
            site=self.site,
            dns_servers=self.dns_servers,
            scheme=self.scheme,
            seconds=self.connect_timeout,
            proved_by_logon=self.ca_file is not None or self.logon == "kerberos",
        )

    def reach(self, dn: str) -> Reach:
        """A domain below another has a name below that of the other, and is another all the same."""
        domain = domain_of(dn)
        same = any(domain_of(normalise(base)) == domain for base in self.scopes)
        return super().reach(dn) if same else Reach.ELSEWHERE

    @property
    def place(self) -> str:
        """Where the domain controllers are, for people."""
        return f"the domain controllers of {self.domain}" if self.domain else super().place

    @property
    def people(self) -> str:
        """The filter for people, without those that are left out."""
        out = [] if self.service_accounts else ["(!(servicePrincipalName=*))"]
        out += [] if self.critical_accounts else ["(!(isCriticalSystemObject=TRUE))"]
        return f"(&{self.user_filter}{''.join(out)})" if out else self.user_filter


class CatalogueSettings(ActiveDirectorySettings):
    """The same for the global catalogue. `forest`: whose catalogues are found by DNS; empty: they are named as urls."""

    forest: str = ""

    def servers(self) -> Iterator[DirectoryServer]:
        """Yield the catalogues in the order in which to try them. Raises SourceUnreachable."""
        if not self.forest:
            return (DirectoryServer(url) for url in self.urls)
        return controllers_of(replace(self.domain_search, domain=self.forest, service="gc"))


def at_catalogue_port(url: str) -> str:
    """Return the address of the global catalogue at a domain controller."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{catalogue_port(parts.scheme)}"
