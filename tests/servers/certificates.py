"""A throw-away authority and a server certificate, made with the openssl command."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    authority: Path
    certificate: Path
    key: Path


@cache
def certificates(names: str = "DNS:localhost,IP:127.0.0.1", which: str = "first") -> Certificates:
    """Make them once a test run. `names` is openssl's subjectAltName; another `which` is another authority."""
    directory = Path(tempfile.mkdtemp(prefix=f"rollcall-certificates-{which}-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return _make(directory, names)


def _make(directory: Path, names: str) -> Certificates:
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    certificate, key, request = directory / "server.pem", directory / "server.key", directory / "server.csr"
    extensions = directory / "extensions"
    extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Rollcall test authority",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-keyout", str(authority_key), "-out", str(authority))  # fmt: skip
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=directory", "-keyout", str(key), "-out", str(request)
    )
    _openssl("x509", "-req", "-in", str(request), "-CA", str(authority), "-CAkey", str(authority_key),
             "-CAcreateserial", "-days", "2", "-out", str(certificate), "-extfile", str(extensions))  # fmt: skip
    return Certificates(authority, certificate, key)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
