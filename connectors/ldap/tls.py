"""TLS that verifies the certificate and the name in it, by Python's own rules."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from ldap3 import Tls


class VerifiedTls(Tls):  # type: ignore[misc] # ldap3 has no types
    """ldap3 compares names by a function of its own that newer Pythons no longer have; OpenSSL does it here.

    `ca_file` None means the system's authorities. `host` is what the certificate has to name.
    """

    def __init__(self, ca_file: Path | None, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED, ca_certs_file=str(ca_file) if ca_file else None)
        self._host = host
        self._context = ssl.create_default_context(cafile=self.ca_certs_file)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - ldap3's signature
        """Put TLS around the connection's socket; the handshake verifies everything. Raises ssl.SSLError."""
        del do_handshake
        plain = connection.socket
        try:
            connection.socket = self._context.wrap_socket(plain, server_hostname=self._host)
        except OSError:
            plain.close()
            raise
