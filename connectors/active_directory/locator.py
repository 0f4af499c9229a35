"""Finding the controllers of a domain by DNS (MS-ADTS 6.3.2.3 and 6.3.6, RFC 2782)."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.name
import dns.resolver
from dns.exception import DNSException
from dns.nameserver import Do53Nameserver
from dns.rdatatype import RdataType

from connectors.errors import SourceUnreachable
from connectors.ldap.settings import DirectoryServer, default_port

_DNS_PORT = 53
_LABEL = re.compile(r"[\w-]{1,63}")  # Active Directory also writes underscores
_ADDRESSES = (RdataType.A, RdataType.AAAA)


@dataclass(frozen=True, slots=True)
class DomainSearch:
    """Whose controllers are looked for, and how.

    source:           the name of the source, for people
    dns_servers:      addresses; empty: those of this machine
    scheme:           ldaps or ldap
    seconds:          how long an answer of DNS may take
    proved_by_logon:  a controller has to prove that it belongs to the organisation, whatever its name is
    service:          ldap; or gc, for the global catalogues of the forest that `domain` is the root of
    """

    source: str
    domain: str
    site: str
    dns_servers: tuple[str, ...]
    scheme: str
    seconds: int
    proved_by_logon: bool
    service: str = "ldap"

    @property
    def what(self) -> str:
        """What is looked for, for people."""
        return "global catalogues" if self.service == "gc" else "domain controllers"


@dataclass(frozen=True, slots=True)
class Controller:
    """One SRV record: a domain controller, and how it wants to be chosen."""

    host: str
    port: int
    priority: int
    weight: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is amiss with the records of a domain, and what to do; there may be controllers that serve all the same."""

    message: str
    remedy: str


def controllers_of(search: DomainSearch) -> Iterator[DirectoryServer]:
    """Yield the controllers of the site, then those of the whole domain. Raises SourceUnreachable.

    DNS is asked for what is needed only: while a controller of the site answers, not for those of the domain.
    """
    question = _Question(search)
    agent = f"{socket.gethostname()} {search.source}"
    troubles: list[str] = []
    named: list[list[Controller]] = []
    tried: set[str] = set()
    for name in _service_names(search):
        named.append(question.controllers(name))
        for controller in in_order(named[-1], agent):
            if controller.host in tried or not _proves_itself(search, controller.host):
                continue
            tried.add(controller.host)
            url = _url(search, controller)
            try:
                for address in question.addresses(controller.host):
                    yield DirectoryServer(url, address)
            except SourceUnreachable as error:
                troubles.append(str(error))
    if not any(named):
        raise SourceUnreachable(
            f"source {search.source}: DNS knows no {search.what} of {search.domain}: there is no "
            f"{_service_names(search)[-1]} (SRV) at {question.asked}. Correct domain; or, if these servers "
            "do not know it, name the domain's own as dns_servers. Nothing is removed."
        )
    troubles += [
        f"source {search.source}: {doubt.message}. {doubt.remedy} Nothing is removed."
        for doubt in _doubts(search, question.asked, named)
    ]
    if troubles:
        raise SourceUnreachable(" ".join(troubles))


def doubts_about_records(search: DomainSearch) -> list[Doubt]:
    """Ask for all records of the site and the domain, and tell what is amiss with them. Raises SourceUnreachable."""
    question = _Question(search)
    named = [question.controllers(name) for name in _service_names(search)]
    return list(_doubts(search, question.asked, named))


def in_order(controllers: Iterable[Controller], agent: str) -> list[Controller]:
    """Sort by priority and weight as RFC 2782 says, and for one agent always alike.

    A checkpoint counts the changes of one controller: with another one than last time, everything is read. So the dice
    that RFC 2782 has every client throw are thrown once for each agent and controller, by a hash. Over many agents the
    weights come out as they should, and a controller that is added or taken away changes nothing for the agents of the
    others (rendezvous hashing).
    """

    def rank(controller: Controller) -> tuple[int, bool, float]:
        digest = hashlib.sha256(f"{agent} {controller.host}".encode()).digest()
        chance = (int.from_bytes(digest[:8], "big") + 1) / 2**64
        # RFC 2782: a weight of 0 has hardly any chance beside greater ones.
        return controller.priority, controller.weight == 0, -math.log(chance) / (controller.weight or 1)

    return sorted(controllers, key=rank)


def check_domain(text: str) -> str:
    """Return a domain as DNS writes it. Raises ValueError."""
    domain = text.rstrip(".").lower()
    try:
        name = dns.name.from_text(domain).to_text(omit_final_dot=True)
    except (DNSException, UnicodeError):
        name = ""
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f'"{text}" is not a domain; write it like "corp.example"')
    return name


def check_site(text: str) -> str:
    """Return the name of a site. Raises ValueError."""
    if not _LABEL.fullmatch(text):
        raise ValueError(f'"{text}" is not the name of a site; write it as Active Directory does, like "Berlin"')
    return text


def read_dns_server(text: str) -> tuple[str, int]:
    """Take an address and perhaps a port apart. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text)), _DNS_PORT
    except ValueError:  # an address with a port, then
        pass
    try:
        parts = urlsplit(f"//{text}")
        return str(ipaddress.ip_address(parts.hostname or "")), parts.port or _DNS_PORT
    except ValueError:
        raise ValueError(
            f'"{text}" is not the address of a DNS server; write it like "10.0.0.1" or "10.0.0.1:53"'
        ) from None


class _Question:
    """DNS, as one source asks it."""

    def __init__(self, search: DomainSearch) -> None:
        self._search = search
        self._servers = search.dns_servers
        self._known: dict[str, list[str]] = {}
        try:
            self._resolver = dns.resolver.Resolver(configure=not self._servers)
        except DNSException as error:
            raise SourceUnreachable(
                f"source {search.source}: this machine has no DNS servers configured ({error}), so the domain "
                f"controllers of {search.domain} cannot be found. Name some as dns_servers. Nothing is removed."
            ) from error
        if self._servers:
            self._resolver.nameservers = [Do53Nameserver(*read_dns_server(server)) for server in self._servers]
        self._resolver.lifetime = search.seconds

    @property
    def asked(self) -> str:
        """The DNS servers, for people."""
        if self._servers:
            return ", ".join(self._servers)
        own = ", ".join(str(server) for server in self._resolver.nameservers)
        return f"the DNS servers of this machine ({own})"

    def controllers(self, name: str) -> list[Controller]:
        """Ask for the SRV records of a name; there may be none."""
        try:
            answer = self._resolver.resolve(name, "SRV", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (DNSException, OSError) as error:
            raise self._failed(f"{name} (SRV)", error) from error
        for more in answer.response.additional:
            if more.rdtype in _ADDRESSES:
                self._known.setdefault(_text(more.name), []).extend(record.address for record in more)
        return [
            Controller(_text(record.target), record.port, record.priority, record.weight)
            for record in answer
            if record.target != dns.name.root  # RFC 2782: the service is decidedly not available
        ]

    def addresses(self, host: str) -> Iterator[str]:
        """Yield where a controller is, by the DNS servers that are named; else the operating system will be asked.

        RFC 2782: the addresses may have come with the answer that named the controller.
        """
        if not self._servers:
            yield ""
            return
        known = self._known.get(host, [])
        yield from known
        if known:
            return
        found = False
        for kind in _ADDRESSES:
            try:
                answer = self._resolver.resolve(host, kind, search=False)
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                continue
            except (DNSException, OSError) as error:
                raise self._failed(host, error) from error
            found = True
            yield from (record.address for record in answer)
        if not found:
            raise SourceUnreachable(
                f"source {self._search.source}: DNS names the domain controller {host}, and has no address of it at "
                f"{self.asked}. Correct the records of the domain, or dns_servers. Nothing is removed."
            )

    def _failed(self, name: str, error: Exception) -> SourceUnreachable:
        if isinstance(error, dns.resolver.LifetimeTimeout):
            what = f"did not come from {self.asked} within {self._search.seconds} seconds"
        else:
            what = f"was an error from {self.asked} ({error})"
        return SourceUnreachable(
            f"source {self._search.source}: the answer of DNS about {name} {what}. Check these servers and the "
            "network, or name others as dns_servers. Nothing is removed."
        )


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _proves_itself(search: DomainSearch, host: str) -> bool:
    """Tell whether a controller that DNS names can show that it belongs to the organisation.

    Whoever forges an answer of DNS can name a host of their own, for which a public authority gave them a certificate.
    They get none for a name within the domain, and none from an authority of the organisation's own. By Kerberos the
    server has to prove itself, too, and no password is sent.
    """
    if search.proved_by_logon:
        return True
    return dns.name.from_text(host).is_subdomain(dns.name.from_text(search.domain))


def _doubts(search: DomainSearch, asked: str, named: Sequence[Sequence[Controller]]) -> Iterator[Doubt]:
    """Tell what is amiss with answers about `_service_names`."""
    if search.site and not named[0]:
        of_site = _service_names(search)[0]
        yield Doubt(
            f"DNS knows no {search.what} of the site {search.site}: there is no {of_site} (SRV) at {asked}; "
            "those of the whole domain are asked",
            "Correct site, or let the controllers that are to serve it register there.",
        )
    hosts = {controller.host for answer in named for controller in answer}
    outside = sorted(host for host in hosts if not _proves_itself(search, host))
    if outside:
        yield Doubt(
            f"DNS names {search.what} that lie outside of {search.domain} ({', '.join(outside)}): a forged "
            "answer could do so, too, and a certificate of a public authority proves the name only, so no password is "
            "sent there",
            "Name the authority of your domain controllers as ca_file, or the controllers as urls.",
        )


def catalogue_port(scheme: str) -> int:
    """Return the port of the global catalogue (MS-ADTS 3.1.1.3.1)."""
    return {"ldap": 3268, "ldaps": 3269}[scheme]


def _service_names(search: DomainSearch) -> list[str]:
    """The site's, where one is named, and then the domain's; of the global catalogue, the forest's."""
    place = search.domain if search.service == "gc" else f"dc._msdcs.{search.domain}"
    service = f"_{search.service}._tcp"
    return [f"{service}.{search.site}._sites.{place}"] * bool(search.site) + [f"{service}.{place}"]


def _url(search: DomainSearch, controller: Controller) -> str:
    # The records are about LDAP without TLS; of LDAPS only its port is known.
    port = default_port(search.scheme)
    if search.scheme == "ldap":
        port = controller.port
    elif search.service == "gc":
        port = catalogue_port(search.scheme)
    shown = "" if port == default_port(search.scheme) else f":{port}"
    return f"{search.scheme}://{controller.host}{shown}"
