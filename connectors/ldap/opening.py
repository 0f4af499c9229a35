"""Opening a session: TLS, bind, failover, and ldap3's defaults put right."""

from __future__ import annotations

import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ldap3 import KERBEROS, NONE, SASL, SYNC, Connection, Server
from ldap3.core.exceptions import LDAPException

from connectors.errors import CertificateRejected, CredentialsRefused, SourceError, SourceUnreachable
from connectors.ldap.kerberos import Ticket, bind_with_ticket, ticket_of
from connectors.ldap.session import LDAP3_RAISES, Session, abandon
from connectors.ldap.settings import DirectoryServer, DirectorySettings, default_port
from connectors.ldap.tls import VerifiedTls
from connectors.ldap.words import logon_refused, no_connection

_SUCCESS = 0
# However many servers are dead, the agent shows life before anybody takes it for one that hangs (300 seconds).
_LONGEST_OPENING = 240.0  # seconds
_ANSWERS = 3  # that a server owes once it is connected: to StartTLS, of TLS itself, and to the bind
_Session = TypeVar("_Session", bound=Session)


def open_session(settings: DirectorySettings) -> Session:
    """Open a session of the ordinary kind; see `open_as`."""
    return open_as(Session, settings)


def open_as(kind: type[_Session], settings: DirectorySettings) -> _Session:
    """Connect to the first server that answers, and log on.

    The next one is tried when a server is unreachable, shows a wrong certificate, is busy or does not take a ticket of
    Kerberos. A refused password is not tried elsewhere: the servers share the account, and more attempts could lock it.
    All of that takes a few minutes at most; then no further server is tried. Raises SourceError.
    """
    if settings.logon == "kerberos":
        with ticket_of(settings) as ticket:
            return _first_of_servers(kind, settings, ticket)
    return _first_of_servers(kind, settings, None)


def _first_of_servers(kind: type[_Session], settings: DirectorySettings, ticket: Ticket | None) -> _Session:
    troubles: list[SourceError] = []
    servers = settings.servers()
    latest = time.monotonic() + _LONGEST_OPENING
    while True:
        try:
            server = next(servers, None)
            if server is None:
                break
            patience = int((latest - time.monotonic() - settings.connect_timeout) / _ANSWERS)
            if patience < 1:
                troubles.append(_no_further_one(settings, len(troubles)))
                break
            return _open(kind, server, settings, ticket, patience)
        except CredentialsRefused:
            raise
        except SourceError as error:  # of the server, or of finding the next one
            troubles.append(error)
    if len(troubles) == 1:
        raise troubles[0]
    trouble = CertificateRejected if all(isinstance(t, CertificateRejected) for t in troubles) else SourceUnreachable
    raise trouble(" ".join(str(one) for one in troubles))


def _no_further_one(settings: DirectorySettings, tried: int) -> SourceError:
    return SourceUnreachable(
        f"source {settings.name}: {tried} servers were tried and did not let the agent in within "
        f"{int(_LONGEST_OPENING)} seconds, so no further one was tried; the next cycle begins with the first again. "
        "Take servers that are gone out of urls or of DNS, or lower connect_timeout."
    )


def _open(
    kind: type[_Session], server: DirectoryServer, settings: DirectorySettings, ticket: Ticket | None, patience: int
) -> _Session:
    """Connect and log on. `patience`: how many seconds each answer may take until that is done."""
    url = server.url
    secure = urlsplit(url).scheme == "ldaps"
    usual = settings.time_limit + settings.connect_timeout
    connection = _connection(server, settings, ticket, min(patience, usual))
    try:
        connection.open(read_server_info=False)
        if not secure and settings.starttls and not connection.start_tls(read_server_info=False):
            raise SourceUnreachable(
                f"source {settings.name}: {url} refuses StartTLS "
                f"({connection.result.get('description')}). Use ldaps://, or "
                "switch TLS on at the server; the password is never sent without."
            )
        if ticket is None:
            connection.bind(read_server_info=False)
        else:
            bind_with_ticket(connection, url, settings)
        result = dict(connection.result)
        connection.socket.settimeout(usual)
    except SourceError:
        abandon(connection)
        raise
    except LDAP3_RAISES as error:
        abandon(connection)
        raise no_connection(server, settings, error) from error
    if result["result"] != _SUCCESS:
        abandon(connection)
        raise logon_refused(url, settings, result)
    return kind(url, connection, settings)


def _logon(settings: DirectorySettings, host: str, ticket: Ticket | None) -> dict[str, Any]:
    """Return what ldap3 has to know of the account."""
    if ticket is not None:
        # The name of the service is ldap/host; which identity is asked for is left to the ticket.
        return {
            "authentication": SASL,
            "sasl_mechanism": KERBEROS,
            "sasl_credentials": (host, None, ticket.for_one_connection()),
        }
    password = settings.bind_password
    return {"user": settings.bind_dn or None, "password": password.get_secret_value() if password else None}


def _connection(place: DirectoryServer, settings: DirectorySettings, ticket: Ticket | None, patience: int) -> Any:  # noqa: ANN401 - ldap3 has no types
    """Prepare a connection; nothing is sent yet. Raises SourceError."""
    parts = urlsplit(place.url)
    host = parts.hostname or ""
    try:
        tls = VerifiedTls(settings.ca_file, host)
    except (LDAPException, OSError) as error:  # ssl.SSLError is an OSError
        raise CertificateRejected(
            f"source {settings.name}: ca_file {settings.ca_file} holds no certificates in PEM form ({error}). Correct "
            "the file. Nothing was sent."
        ) from error
    try:
        server = Server(
            place.address or host,
            port=parts.port or default_port(parts.scheme),
            use_ssl=parts.scheme == "ldaps",
            tls=tls,  # ldap3 verifies nothing unless it is told to
            get_info=NONE,  # with a schema loaded ldap3 converts values, slowly and not always rightly
            connect_timeout=settings.connect_timeout,
        )
        return Connection(
            server,
            **_logon(settings, host, ticket),
            client_strategy=SYNC,
            auto_range=False,  # it cuts `member` silently when a follow-up search fails
            auto_referrals=False,  # the password would go to whatever server is named
            return_empty_attributes=False,
            check_names=False,
            receive_timeout=patience,
            raise_exceptions=False,
        )
    except LDAP3_RAISES as error:
        raise no_connection(place, settings, error) from error
