"""What logging on by Kerberos needs beside a domain, and servers that do not take a ticket."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers.ber import element, integer, text
from tests.servers.certificates import Certificates
from tests.servers.samba import REALM

CONFIGURATION = """[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
kdc_timesync = 0
[realms]
{realm} = {{
  kdc = {kdc}
}}
"""


@contextmanager
def configured(place: Path, kdc: str) -> Iterator[None]:
    """A Kerberos of our own; KRB5CCNAME is where tickets would be left for others."""
    file = place / f"krb5-{kdc.replace(':', '-')}.conf"
    file.write_text(CONFIGURATION.format(realm=REALM, kdc=kdc))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRB5_CONFIG", str(file))
        patch.setenv("KRB5CCNAME", f"FILE:{place / 'tickets'}")
        yield


@contextmanager
def answering_binds(
    certificates: Certificates,
    code: int,
    said: bytes = b"",
    *,
    token: bytes = b"",
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[int]:
    """Answer every bind of one connection over TLS with the code, what the server says of it, and a token of SASL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    listener = socket.create_server(at)

    def serve() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as client:
            while request := client.recv(65_536):
                start = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
                message_id = request[start : start + 2 + request[start + 1]]
                result = element(0x0A, bytes([code])) + element(0x04, b"") + element(0x04, said)
                response = element(0x61, result + (element(0x87, token) if token else b""))
                client.sendall(element(0x30, message_id + response))

    listener.settimeout(30)  # when nobody comes
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(timeout=10)
        listener.close()


def kerberos_error(code: int) -> bytes:
    """What a server sends back instead of taking a ticket (RFC 4120, 5.9.1, in the frame of RFC 4121, 4.1)."""
    mechanism = element(0x06, bytes.fromhex("2a864886f712010202"))
    service = element(0x30, element(0xA0, integer(2)), element(0xA1, element(0x30, text("ldap", 0x1B))))
    content = element(
        0x30,
        element(0xA0, integer(5)),
        element(0xA1, integer(30)),
        element(0xA4, text(f"{datetime.now(UTC):%Y%m%d%H%M%SZ}", 0x18)),
        element(0xA5, integer(0)),
        element(0xA6, integer(code)),
        element(0xA9, text(REALM, 0x1B)),
        element(0xAA, service),
    )
    return element(0x60, mechanism, b"\x03\x00", element(0x7E, content))
