"""A session with one directory server: TLS, bind, failover, and checked searches.

ldap3 has silent defaults; the ones that matter are set here, each with its reason, and no other file touches it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ldap3 import BASE, DEREF_NEVER, NONE, SUBTREE, SYNC, Connection, Server
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError
from pyasn1.error import PyAsn1Error

from connectors.errors import (
    CertificateRejected,
    CredentialsRefused,
    ReadInterrupted,
    SourceError,
    SourceUnreachable,
)
from connectors.ldap.settings import LdapSettings, default_port
from connectors.ldap.tls import VerifiedTls
from connectors.ldap.words import connection_lost, logon_refused, no_base, no_connection, search_ended

_PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
_SUCCESS = 0
_NO_SUCH_OBJECT = 32
# ldap3 takes answers apart without checking them first, so a malformed one shows as any of the later errors; a host
# name that no resolver takes is a ValueError.
_LDAP3_RAISES = (LDAPException, OSError, PyAsn1Error, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Found:
    """One entry of a search result: attribute types in lower case, options kept, values as sent."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class ContinuationReference:
    """Part of the tree is held by another server, and was not searched (RFC 4511, 4.5.3)."""

    urls: tuple[str, ...]


class MissingBase(ReadInterrupted):
    """The base of a search does not exist, or the account may not know that it does."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a search brought, and its result with the cookie of the next page."""

    found: list[Found | ContinuationReference]
    result: Mapping[str, Any]
    paged: bool  # the server sent the control back
    cookie: bytes


class Session:
    """An authenticated connection to one server. Made by `open_session`; close it."""

    def __init__(self, url: str, connection: Any, settings: LdapSettings) -> None:  # noqa: ANN401 - ldap3 has no types
        self.url = url
        self._connection = connection
        self._settings = settings

    def close(self) -> None:
        """Say goodbye, if anybody still listens."""
        _abandon(self._connection)

    def search(
        self, base: str, search_filter: str, attributes: Sequence[str], page_size: int | None = None
    ) -> Iterator[Found | ContinuationReference]:
        """Yield everything below `base`, page by page.

        Returning normally means: success on every page, and the server said there are no more. Anything else raises
        ReadInterrupted (MissingBase among it), after what did arrive; ldap3's own paging would just stop there.
        """
        cookie: bytes | None = None
        seen = 0
        while True:
            answer = self._ask(
                base,
                seen,
                search_filter=search_filter,
                search_scope=SUBTREE,
                attributes=list(attributes),
                paged_size=page_size or self._settings.page_size,
                # Critical: a server that cannot page has to say so instead of sending a first part.
                paged_criticality=True,
                paged_cookie=cookie,
            )
            for found in answer.found:
                seen += isinstance(found, Found)
                yield found
            if answer.result["result"] == _NO_SUCH_OBJECT:
                raise MissingBase(no_base(self.url, self._settings, base))
            if answer.result["result"] != _SUCCESS:
                raise ReadInterrupted(search_ended(self.url, self._settings, base, seen, answer.result))
            if not answer.paged:
                # RFC 2696: a server that honoured the control answers with it. Without it nobody says this was all.
                raise ReadInterrupted(
                    f"source {self._settings.name}: {self.url} did not say whether more entries follow (no paged "
                    "results control in its answer). Nothing is removed."
                )
            cookie = answer.cookie
            if not cookie:
                return

    def exists(self, dn: str) -> bool:
        """Tell whether an entry can be read. Raises ReadInterrupted for anything but yes and no."""
        answer = self._ask(dn, 0, search_filter="(objectClass=*)", search_scope=BASE, attributes=["1.1"])
        if answer.result["result"] == _NO_SUCH_OBJECT:
            return False
        if answer.result["result"] != _SUCCESS:
            raise ReadInterrupted(search_ended(self.url, self._settings, dn, 0, answer.result))
        return any(isinstance(found, Found) for found in answer.found)

    def _ask(self, base: str, seen: int, **asked: object) -> _Answer:
        """Send one search and take its answer apart. Raises ReadInterrupted when there is none."""
        connection = self._connection
        try:
            connection.search(
                base,
                dereference_aliases=DEREF_NEVER,
                time_limit=self._settings.time_limit,
                **asked,
            )
            control = connection.result.get("controls", {}).get(_PAGED_RESULTS)
            return _Answer(
                found=[found for item in connection.response or () if (found := _understood(item)) is not None],
                result=connection.result,
                paged=control is not None,
                cookie=bytes(control["value"]["cookie"] or b"") if control is not None else b"",
            )
        except LDAPInvalidFilterError as error:
            raise ReadInterrupted(
                f"source {self._settings.name}: {asked['search_filter']} is not a search filter. Correct user_filter "
                "or group_filter."
            ) from error
        except _LDAP3_RAISES as error:
            raise ReadInterrupted(connection_lost(self.url, self._settings, base, seen, error)) from error


def open_session(settings: LdapSettings) -> Session:
    """Connect to the first server that answers, and log on.

    The next one is tried when a server is unreachable, shows a wrong certificate or is busy. A refused password is
    not tried elsewhere: the servers share the account, and more attempts could lock it. Raises SourceError.
    """
    troubles: list[SourceError] = []
    for url in settings.urls:
        try:
            return _open(url, settings)
        except CredentialsRefused:
            raise
        except SourceError as error:
            troubles.append(error)
    if len(troubles) == 1:
        raise troubles[0]
    kind = CertificateRejected if all(isinstance(t, CertificateRejected) for t in troubles) else SourceUnreachable
    raise kind(" ".join(str(trouble) for trouble in troubles))


def _open(url: str, settings: LdapSettings) -> Session:
    secure = urlsplit(url).scheme == "ldaps"
    connection = _connection(url, settings)
    try:
        connection.open(read_server_info=False)
        if not secure and settings.starttls and not connection.start_tls(read_server_info=False):
            raise SourceUnreachable(
                f"source {settings.name}: {url} refuses StartTLS "
                f"({connection.result.get('description')}). Use ldaps://, or "
                "switch TLS on at the server; the password is never sent without."
            )
        connection.bind(read_server_info=False)
        result = dict(connection.result)
    except SourceError:
        _abandon(connection)
        raise
    except _LDAP3_RAISES as error:
        _abandon(connection)
        raise no_connection(url, settings, error) from error
    if result["result"] != _SUCCESS:
        _abandon(connection)
        raise logon_refused(url, settings, result)
    return Session(url, connection, settings)


def _connection(url: str, settings: LdapSettings) -> Any:  # noqa: ANN401 - ldap3 has no types
    """Prepare a connection; nothing is sent yet. Raises SourceError."""
    parts = urlsplit(url)
    try:
        tls = VerifiedTls(settings.ca_file)
    except (LDAPException, OSError) as error:  # ssl.SSLError is an OSError
        raise CertificateRejected(
            f"source {settings.name}: ca_file {settings.ca_file} holds no certificates in PEM form ({error}). Correct "
            "the file. Nothing was sent."
        ) from error
    try:
        server = Server(
            parts.hostname or "",
            port=parts.port or default_port(parts.scheme),
            use_ssl=parts.scheme == "ldaps",
            tls=tls,  # ldap3 verifies nothing unless it is told to
            get_info=NONE,  # with a schema loaded ldap3 converts values, slowly and not always rightly
            connect_timeout=settings.connect_timeout,
        )
        return Connection(
            server,
            user=settings.bind_dn or None,
            password=settings.bind_password.get_secret_value() if settings.bind_password else None,
            client_strategy=SYNC,
            auto_range=False,  # it cuts `member` silently when a follow-up search fails
            auto_referrals=False,  # the password would go to whatever server is named
            return_empty_attributes=False,
            check_names=False,
            receive_timeout=settings.time_limit + settings.connect_timeout,
            raise_exceptions=False,
        )
    except _LDAP3_RAISES as error:
        raise no_connection(url, settings, error) from error


def _abandon(connection: Any) -> None:  # noqa: ANN401 - ldap3 has no types
    # If the server has gone already, that is what was wanted.
    with contextlib.suppress(*_LDAP3_RAISES):
        connection.unbind()
    if connection.socket is not None:
        connection.socket.close()  # ldap3 forgets the socket of a connection that failed half-way


def _understood(item: Mapping[str, Any]) -> Found | ContinuationReference | None:
    if item.get("type") == "searchResEntry":
        raw: Mapping[str, Sequence[bytes]] = item["raw_attributes"]
        return Found(str(item["dn"]), {key.lower(): list(values) for key, values in raw.items()})
    if item.get("type") == "searchResRef":
        return ContinuationReference(tuple(str(uri) for uri in item.get("uri", ())))
    return None
