"""[[sources]] with connector = "ldap"."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from connectors.base import Reach, SourceSettings
from connectors.distinguished_name import DistinguishedNameError, domain_of, is_under, normalise
from connectors.entries import EntrySettings
from connectors.files import why_no_file

# Together they are the longest silence of a request; agent/observe/health.py takes 300 seconds of it for no life.
_LONGEST = {"connect_timeout": 60, "time_limit": 230}  # seconds
_PORTS = {"ldap": 389, "ldaps": 636}
_PRINCIPAL = re.compile(r"[^@\\=\s]+@[^@\\=\s]+")
# The classes that hold others in practice (RFC 4519, RFC 4524, and the containers of Active Directory and 389).
_CONTAINERS = (
    "organizationalUnit", "organization", "locality", "country", "dcObject", "domain", "container", "nsContainer",
)  # fmt: skip
_COMPARISON = re.compile(r"\(([^()&|!][^()]*|)\)")


@dataclass(frozen=True, slots=True)
class DirectoryServer:
    """One server to try.

    url:      as people know it; the certificate has to name its host
    address:  where it is, if that is known already; else the operating system is asked
    """

    url: str
    address: str = ""


class DirectorySettings(SourceSettings):
    """Where a directory is, how to log on, and where to read. Times are seconds.

    ldaps:// is TLS from the start; ldap:// becomes TLS by StartTLS before anything else is sent. Certificates are
    always verified, against `ca_file` or else the system's authorities.

    logon: simple, with the password of bind_dn; or kerberos, with the key of bind_dn (NAME@REALM) in `keytab_file`

    not_part_of_what_is_read: the settings that another value of changes nothing in what a read brings
    container_filter:         finds the entries that hold others, see connectors/ldap/containers.py
    """

    not_part_of_what_is_read: ClassVar[frozenset[str]] = frozenset({
        "name", "connector", "urls", "logon", "bind_dn", "bind_password", "bind_password_file", "keytab_file",
        "ca_file", "starttls", "connect_timeout", "time_limit", "page_size", "changes",
    })  # fmt: skip
    container_filter: ClassVar[str] = f"(|{''.join(f'(objectClass={name})' for name in _CONTAINERS)})"

    urls: tuple[str, ...] = Field(min_length=1)
    base_dn: tuple[str, ...] = Field(min_length=1)
    user_base_dn: tuple[str, ...] = ()
    group_base_dn: tuple[str, ...] = ()
    anchor: str
    user_filter: str
    group_filter: str
    logon: Literal["simple", "kerberos"] = "simple"
    bind_dn: str = ""
    bind_password: SecretStr | None = None
    bind_password_file: Path | None = None
    keytab_file: Path | None = None
    ca_file: Path | None = None
    starttls: bool = True
    connect_timeout: int = Field(default=10, ge=1)
    time_limit: int = Field(default=60, ge=1)
    page_size: int = Field(default=1000, ge=1, le=100_000)
    sentinel: str | None = None
    continuation_references: Literal["partial", "ignore"] = "partial"

    @field_validator("urls", "base_dn", "user_base_dn", "group_base_dn", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_addresses(value)

    @field_validator("base_dn", "user_base_dn", "group_base_dn")
    @classmethod
    def _bases(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for base in value:
            _check_dn(base)
        return value

    @field_validator("connect_timeout", "time_limit")
    @classmethod
    def _no_silence(cls, value: int, info: ValidationInfo) -> int:
        longest = _LONGEST[info.field_name or ""]
        if value > longest:
            raise ValueError(
                f"write {longest} seconds at most: who waits for a server with more than 300 seconds of silence is "
                "taken for one that hangs"
            )
        return value

    @field_validator("sentinel")
    @classmethod
    def _sentinel(cls, value: str | None) -> str | None:
        if value is not None:
            _check_dn(value)
        return value

    @field_validator("user_filter", "group_filter")
    @classmethod
    def _filters(cls, value: str) -> str:
        if not _is_filter(value):
            raise ValueError('a search filter stands in balanced brackets, like "(objectClass=inetOrgPerson)"')
        return value

    @field_validator("ca_file")
    @classmethod
    def _authority(cls, value: Path | None) -> Path | None:
        if value is not None and (why := why_no_file(value)):
            raise ValueError(f"the file {value} {why}; name the PEM file of the authority")
        return value

    @field_validator("keytab_file")
    @classmethod
    def _keytab(cls, value: Path | None) -> Path | None:
        if value is not None and (why := why_no_file(value)):
            raise ValueError(f"the file {value} {why}; write the account's key into it")
        return value

    @model_validator(mode="after")
    def _kerberos(self) -> Self:
        if self.logon != "kerberos":
            if self.keytab_file is not None:
                raise ValueError('keytab_file goes with logon = "kerberos" only')
            return self
        if self.keytab_file is None:
            raise ValueError('logon = "kerberos" needs the key of bind_dn in a keytab; name the file as keytab_file')
        if not _PRINCIPAL.fullmatch(self.bind_dn):
            raise ValueError('with logon = "kerberos" bind_dn is a principal, like "rollcall@CORP.EXAMPLE"')
        if self.bind_password is not None or self.bind_password_file is not None:
            raise ValueError('logon = "kerberos" uses keytab_file; remove the password')
        if not self.starttls:
            raise ValueError('logon = "kerberos" goes over TLS only; remove starttls = false')
        if missing := _missing_packages():
            raise ValueError(
                f'logon = "kerberos" needs gssapi and cryptography ({missing}); beside the deb install '
                "python3-gssapi and python3-cryptography, or install Rollcall's wheel with [kerberos], for which Linux "
                "needs MIT Kerberos and its headers (libkrb5-dev), a C compiler and Python's headers"
            )
        return self

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.logon == "simple" and self.bind_dn and self.bind_password is None:
            raise ValueError(
                "bind_dn is set and no password is; put it into a file only this account may read and name it as "
                "bind_password_file"
            )
        # RFC 4513, 5.1.2: a name with an empty password is an anonymous bind that says success.
        if self.bind_password is not None and not self.bind_password.get_secret_value():
            raise ValueError("the password is empty; a server would take that for an anonymous logon")
        if self.bind_password is not None and self.bind_password.get_secret_value() in self.bind_dn:
            # bind_dn is shown in messages, and a password never is.
            raise ValueError("bind_dn contains the password; perhaps the two lines are mixed up")
        if not self.bind_dn and self.bind_password is not None:
            raise ValueError("a password is set and no bind_dn; name the account that reads the directory")
        if not self.starttls:
            for url in self.urls:
                parts = urlsplit(url)  # gives the scheme in lower case, however it is written
                if parts.scheme == "ldap" and not _is_loopback(parts.hostname or ""):
                    raise ValueError(
                        f'starttls = false would send the password to "{url}" unencrypted; remove the line, or use '
                        "ldaps://"
                    )
        return self

    def servers(self) -> Iterator[DirectoryServer]:
        """Yield the servers in the order in which to try them. Raises SourceUnreachable when no more can be named."""
        yield from (DirectoryServer(url) for url in self.urls)

    @property
    def place(self) -> str:
        """Where the directory is, for people."""
        return ", ".join(self.urls)

    @property
    def reads(self) -> tuple[str, ...]:
        """The bases with their filters."""
        searches = (("people", self.user_bases, self.people), ("groups", self.group_bases, self.group_filter))
        places = [f"{kind} below {base} that answer to {text}" for kind, bases, text in searches for base in bases]
        return (*places, *super().reads)

    def reach(self, dn: str) -> Reach:
        """Compare with the bases; without one above it, whoever has the same domain is taken for the same directory."""
        bases = [normalise(base) for base in self.scopes]
        if any(is_under(dn, base) for base in bases):
            return Reach.WITHIN
        domain = domain_of(dn)
        same = domain and any(domain_of(base) == domain for base in bases)
        return Reach.OUTSIDE if same else Reach.ELSEWHERE

    @property
    def scopes(self) -> dict[str, str]:
        """Every base with the one filter that finds all people and groups wanted below it."""
        filters: dict[str, list[str]] = {}
        for bases, search_filter in ((self.user_bases, self.people), (self.group_bases, self.group_filter)):
            for base in bases:
                filters.setdefault(base, []).append(search_filter)
        return {base: some[0] if len(some) == 1 else f"(|{''.join(some)})" for base, some in filters.items()}

    @property
    def people(self) -> str:
        """The filter that people answer to."""
        return self.user_filter

    @property
    def user_bases(self) -> tuple[str, ...]:
        """Where people are searched."""
        return self.user_base_dn or self.base_dn

    @property
    def group_bases(self) -> tuple[str, ...]:
        """Where groups are searched."""
        return self.group_base_dn or self.base_dn


class LdapSettings(DirectorySettings, EntrySettings):
    """A directory whose entries follow the LDAP schemas, and how to find out what changed in it."""

    not_part_of_what_is_read: ClassVar[frozenset[str]] = DirectorySettings.not_part_of_what_is_read | {
        "timestamp_overlap"
    }

    logon: Literal["simple"] = "simple"
    anchor: str = "entryUUID"
    user_filter: str = "(|(objectClass=person)(objectClass=posixAccount))"
    group_filter: str = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"
    changes: Literal["auto", "syncrepl", "timestamps", "full"] = "auto"
    timestamp_overlap: int = Field(default=300, ge=0, le=86_400)


def check_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses that servers can be reached at. Raises ValueError."""
    for url in value:
        if "@" in url:  # never repeated in the message: it may hold a password
            raise ValueError("an address in urls holds no name or password; use bind_dn and bind_password_file")
        try:
            parts = urlsplit(url)
            valid = parts.scheme in _PORTS and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            valid = False
        if not valid or parts.path.strip("/") or parts.query:
            raise ValueError(f'"{url}" is not an address; write it like "ldaps://ldap1.corp.example"')
    return value


def default_port(scheme: str) -> int:
    """Return the port of ldap or ldaps."""
    return _PORTS[scheme]


def _missing_packages() -> str:
    """Tell what is missing for a logon by Kerberos; nothing if all is there."""
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra; ldap3 binds the logon to the TLS channel with it
        import gssapi  # noqa: F401, PLC0415 - an extra
    except (ImportError, OSError) as error:  # OSError: on Windows, without MIT Kerberos
        return str(error)
    return ""


def _check_dn(value: str) -> None:
    try:
        normalise(value)
    except DistinguishedNameError as error:
        raise ValueError(f"{error}; write a DN like ou=People,dc=corp,dc=example") from None


def _is_filter(text: str) -> bool:
    """Tell whether it looks like one filter (RFC 4515): one outer pair of brackets, a comparison in each inner one."""
    depth = 0
    for position, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth <= 0 and position < len(text) - 1:
            return False
    return depth == 0 and text != "" and all("=" in item for item in _COMPARISON.findall(text))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
