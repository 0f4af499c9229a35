"""What can be found out about a directory before anybody knows where to read it, for whoever sets it up."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
from urllib.parse import urlsplit

from connectors.errors import SourceError
from connectors.ldap.opening import open_as
from connectors.ldap.session import Session
from connectors.ldap.settings import DirectorySettings, default_port

_CONTEXTS, _DEFAULT = "namingcontexts", "defaultnamingcontext"
_NO_PEOPLE = ("cn=config", "cn=monitor", "cn=accesslog", "cn=changelog", "cn=schema", "o=netscaperoot")
# StartTLS as an LDAP message (RFC 4511, 4.14.1), number 1.
_START_TLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
_ANSWER = 4096


def bases_of(settings: DirectorySettings, kind: type[Session]) -> tuple[str, ...]:
    """Log on, and return the naming contexts that may hold people. Raises SourceError."""
    session = open_as(kind, settings)
    try:
        root = session.look_up("", ["namingContexts", "defaultNamingContext"])
    finally:
        session.close()
    shown = root.attributes if root is not None else {}
    names = shown.get(_DEFAULT) or shown.get(_CONTEXTS) or ()
    found = (name.decode("utf-8", "replace") for name in names)
    return tuple(name for name in found if name and not name.lower().startswith(_NO_PEOPLE))


def fingerprint_of_certificate(settings: DirectorySettings) -> str:
    """Return the SHA-256 of the certificate that the first server shows; empty where none does.

    It is looked at and not believed: nothing is sent over the connection, and it is closed.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # to be shown to somebody who compares it
    with contextlib.suppress(OSError, ValueError, SourceError):
        server = next(iter(settings.servers()))
        parts = urlsplit(server.url)
        address = (server.address or parts.hostname or "", parts.port or default_port(parts.scheme))
        with socket.create_connection(address, timeout=settings.connect_timeout) as plain:
            if parts.scheme == "ldap":
                plain.sendall(_START_TLS)
                plain.recv(_ANSWER)
            with context.wrap_socket(plain, server_hostname=parts.hostname) as secure:
                shown = secure.getpeercert(binary_form=True) or b""
        return _with_colons(shown)
    return ""


def _with_colons(certificate: bytes) -> str:
    digest = hashlib.sha256(certificate).digest()
    return ":".join(f"{byte:02X}" for byte in digest)
