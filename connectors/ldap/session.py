"""A session with one directory server: TLS, bind, failover, and checked searches.

ldap3 has silent defaults; the ones that matter are set here, each with its reason, and no other file touches it.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ldap3 import BASE, DEREF_NEVER, NONE, SUBTREE, SYNC, Connection, Server
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError
from ldap3.core.results import RESULT_CODES

from connectors.errors import (
    CertificateRejected,
    CredentialsRefused,
    ReadInterrupted,
    SourceError,
    SourceUnreachable,
)
from connectors.ldap.settings import LdapSettings, default_port
from connectors.ldap.tls import VerifiedTls

_PAGED_RESULTS = "1.2.840.113556.1.4.319"  # RFC 2696
_SUCCESS = 0
_NO_SUCH_OBJECT = 32
_INVALID_CREDENTIALS = 49
# Another server may do better: busy, unavailable, unwillingToPerform.
_TRY_ANOTHER = frozenset({51, 52, 53})
_NEEDS_ENCRYPTION = frozenset({8, 13})  # strongerAuthRequired, confidentialityRequired


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
        self, base: str, search_filter: str, attributes: Sequence[str]
    ) -> Iterator[Found | ContinuationReference]:
        """Yield everything below `base`, page by page.

        Returning normally means: success on every page, and the server said there are no more. Anything else raises
        ReadInterrupted (MissingBase among it); ldap3's own paging would just stop there.
        """
        cookie: bytes | None = None
        seen = 0
        while True:
            response = self._page(base, search_filter, attributes, cookie, seen)
            for item in response:
                found = _understood(item)
                if isinstance(found, Found):
                    seen += 1
                if found is not None:
                    yield found
            cookie = self._next_cookie()
            if not cookie:
                return

    def exists(self, dn: str) -> bool:
        """Tell whether an entry can be read. Raises ReadInterrupted for anything but yes and no."""
        try:
            self._connection.search(
                dn,
                "(objectClass=*)",
                BASE,
                dereference_aliases=DEREF_NEVER,
                attributes=["1.1"],
                time_limit=self._settings.time_limit,
            )
        except (LDAPException, OSError) as error:
            raise ReadInterrupted(self._lost(dn, 0, error)) from error
        result = self._connection.result
        if result["result"] == _NO_SUCH_OBJECT:
            return False
        if result["result"] != _SUCCESS:
            raise ReadInterrupted(self._ended(dn, 0, result))
        return any(item.get("type") == "searchResEntry" for item in self._connection.response or ())

    def _page(
        self, base: str, search_filter: str, attributes: Sequence[str], cookie: bytes | None, seen: int
    ) -> list[dict[str, Any]]:
        try:
            self._connection.search(
                base,
                search_filter,
                SUBTREE,
                dereference_aliases=DEREF_NEVER,
                attributes=list(attributes),
                time_limit=self._settings.time_limit,
                paged_size=self._settings.page_size,
                # Critical: a server that cannot page has to say so instead of sending a first part.
                paged_criticality=True,
                paged_cookie=cookie,
            )
        except LDAPInvalidFilterError as error:
            raise ReadInterrupted(
                f"source {self._settings.name}: {search_filter} is not a search filter. Correct user_filter or "
                "group_filter."
            ) from error
        except (LDAPException, OSError) as error:
            raise ReadInterrupted(self._lost(base, seen, error)) from error
        result = self._connection.result
        if result["result"] == _NO_SUCH_OBJECT:
            raise MissingBase(
                f"source {self._settings.name}: there is no {base} at {self.url}, or the account may "
                "not see it. Correct "
                "base_dn, or give the account the right to read it. Nothing is removed."
            )
        if result["result"] != _SUCCESS:
            raise ReadInterrupted(self._ended(base, seen, result))
        return list(self._connection.response or ())

    def _next_cookie(self) -> bytes | None:
        control = self._connection.result.get("controls", {}).get(_PAGED_RESULTS)
        if control is None:
            # RFC 2696: a server that honoured the control answers with it. Without it nobody says that this was all.
            raise ReadInterrupted(
                f"source {self._settings.name}: {self.url} did not say whether more entries follow (no paged results "
                "control in its answer). Nothing is removed."
            )
        cookie = control["value"]["cookie"]
        return bytes(cookie) if cookie else None

    def _ended(self, base: str, seen: int, result: Mapping[str, Any]) -> str:
        code = int(result["result"])
        said = f", saying: {result['message']}" if result.get("message") else ""
        remedy = _REMEDIES.get(code, "See the directory server's log.")
        return (
            f"source {self._settings.name}: the search below {base} at {self.url} ended with "
            f"{RESULT_CODES.get(code, 'an unknown result')} ({code}) after {seen} entries{said}. {remedy} Nothing is "
            "removed."
        )

    def _lost(self, base: str, seen: int, error: Exception) -> str:
        return (
            f"source {self._settings.name}: the connection to {self.url} was lost after {seen} entries below {base} "
            f"({error}). Check the server and the network; the next cycle reads again. Nothing is removed."
        )


_REMEDIES = {
    3: "Raise the server's time limit for the bind account.",
    4: "Raise the server's size limit for the bind account (in OpenLDAP: limits … size=unlimited).",
    10: "The server refers to another one: name the server that holds the tree in urls.",
    11: "Raise the server's administrative limits for the bind account.",
    12: "The server cannot page results, which large directories need.",
    50: "Give the bind account the right to read there.",
    51: "The server is busy; the next cycle reads again.",
    52: "The server is unavailable; the next cycle reads again.",
}


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
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "ldaps"
    try:
        tls = VerifiedTls(settings.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise CertificateRejected(
            f"source {settings.name}: ca_file {settings.ca_file} holds no certificates in PEM form ({error}). Correct "
            "the file. Nothing was sent."
        ) from error
    server = Server(
        host,
        port=parts.port or default_port(parts.scheme),
        use_ssl=secure,
        tls=tls,  # ldap3 verifies nothing unless it is told to
        get_info=NONE,  # with a schema loaded ldap3 converts values, slowly and not always rightly
        connect_timeout=settings.connect_timeout,
    )
    connection = Connection(
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
    try:
        connection.open(read_server_info=False)
        if not secure and settings.starttls and not connection.start_tls(read_server_info=False):
            raise SourceUnreachable(
                f"source {settings.name}: {url} refuses StartTLS "
                f"({connection.result.get('description')}). Use ldaps://, or "
                "switch TLS on at the server; the password is never sent without."
            )
        connection.bind(read_server_info=False)
    except (LDAPException, OSError) as error:
        _abandon(connection)
        raise _told(url, settings, error) from error
    except SourceError:
        _abandon(connection)
        raise
    result = connection.result
    if result["result"] != _SUCCESS:
        _abandon(connection)
        raise _refused(url, settings, result)
    return Session(url, connection, settings)


def _abandon(connection: Any) -> None:  # noqa: ANN401 - ldap3 has no types
    # If the server has gone already, that is what was wanted.
    with contextlib.suppress(LDAPException, OSError):
        connection.unbind()
    if connection.socket is not None:
        connection.socket.close()  # ldap3 forgets the socket of a connection that failed half-way


def _refused(url: str, settings: LdapSettings, result: Mapping[str, Any]) -> SourceError:
    code = int(result["result"])
    who = settings.bind_dn or "an anonymous account"
    said = f" ({RESULT_CODES.get(code, code)}{': ' + result['message'] if result.get('message') else ''})"
    if code == _INVALID_CREDENTIALS:
        return CredentialsRefused(
            f"source {settings.name}: {url} refuses the name or password of {who}{said}. Check bind_dn and the content "
            "of bind_password_file. Nothing is removed."
        )
    if code in _TRY_ANOTHER:
        return SourceUnreachable(
            f"source {settings.name}: {url} cannot serve the logon of {who} now{said}. The next cycle tries again. "
            "Nothing is removed."
        )
    remedy = (
        "Use ldaps:// or StartTLS." if code in _NEEDS_ENCRYPTION else "Check bind_dn and the account at the server."
    )
    return CredentialsRefused(
        f"source {settings.name}: {url} refuses the logon of {who}{said}. {remedy} Nothing is removed."
    )


def _told(url: str, settings: LdapSettings, error: Exception) -> SourceError:
    text = str(error)
    if "certificate" in text.lower():
        return CertificateRejected(
            f"source {settings.name}: the certificate of {url} could not be verified: {_plain(text)}. "
            "Nothing was sent to it. "
            "Name the authority that issued it as ca_file, and write the server's name in urls as in the certificate."
        )
    return SourceUnreachable(
        f"source {settings.name}: {url} cannot be reached: {_plain(text)}. Check the address, the "
        "server and the network. "
        "Nothing is removed."
    )


def _plain(text: str) -> str:
    """Take ldap3's wrapping off: only the innermost cause helps anybody."""
    for needle in ("certificate verify failed: ", "certificate"):
        position = text.find(needle)
        if position >= 0:
            return text[position:].split(" (_ssl", maxsplit=1)[0].rstrip(")'\" ").strip()
    return text.rpartition("socket connection error while opening: ")[2].strip() or text


def _understood(item: Mapping[str, Any]) -> Found | ContinuationReference | None:
    if item.get("type") == "searchResEntry":
        raw: Mapping[str, Sequence[bytes]] = item["raw_attributes"]
        return Found(str(item["dn"]), {key.lower(): list(values) for key, values in raw.items()})
    if item.get("type") == "searchResRef":
        return ContinuationReference(tuple(str(uri) for uri in item.get("uri", ())))
    return None
