"""A private slapd on loopback: its own directory, ports, authority and certificate. Ends with the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.servers.certificates import Certificates, certificates
from tests.servers.database_copy import copy_database
from tests.servers.ports import free_port

SUFFIX = "dc=example,dc=com"
ADMIN_DN = f"cn=admin,{SUFFIX}"
ADMIN_PASSWORD = "gate-Keeper-17"
READER_DN = f"cn=rollcall,{SUFFIX}"
READER_PASSWORD = "b1nd-Kestrel-4711"

BASE_LDIF = f"""dn: {SUFFIX}
objectClass: domain
dc: example

dn: {READER_DN}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: rollcall
userPassword: {READER_PASSWORD}

dn: ou=People,{SUFFIX}
objectClass: organizationalUnit
ou: People

dn: ou=Groups,{SUFFIX}
objectClass: organizationalUnit
ou: Groups
"""

_ACCESS_LOG = f"""
database mdb
suffix cn=accesslog
rootdn {ADMIN_DN}
directory {{directory}}/accesslog
maxsize 1073741824
index objectClass,entryCSN,reqEnd,reqResult,reqStart,reqDN,reqEntryUUID eq
overlay syncprov
syncprov-reloadhint TRUE
syncprov-nopresent TRUE
"""
_INTEGRITY = f"""
overlay memberof
overlay refint
refint_attributes member uniqueMember
refint_nothing {ADMIN_DN}
"""


# As Debian has it: root of this machine may change the configuration while the server runs (slapd-config(5)).
_ONLINE = """
database config
access to * by dn.exact=gidNumber={group}+uidNumber={user},cn=peercred,cn=external,cn=auth manage by * none
"""


class History(StrEnum):
    """How a slapd can be asked what changed (slapo-syncprov(5))."""

    NONE = "no syncprov overlay: it cannot"
    PRESENT = "syncprov without a session log: it lists everything that is still there"
    SESSION_LOG = "syncprov with a session log in memory"
    ACCESS_LOG = "syncprov with the accesslog database as its session log"


_OVERLAYS = {
    History.NONE: "",
    History.PRESENT: "overlay syncprov",
    History.SESSION_LOG: "overlay syncprov\nsyncprov-sessionlog 10000",
    History.ACCESS_LOG: """
overlay accesslog
logdb cn=accesslog
logops writes
logsuccess TRUE
overlay syncprov
syncprov-sessionlog-source cn=accesslog
""",
}


class OpenLdap:
    """Use as a context manager.

    limits:  slapd.conf lines like "sizelimit 100", for every client but the admin
    names:   the certificate's subjectAltName, when it is not to be the right one
    access:  slapd.conf "access to …" lines that come before the ordinary ones
    history: what it remembers for RFC 4533
    integrity: memberOf and refint keep members and groups in step, without touching a timestamp
    online:  its configuration is cn=config, and whoever runs the tests may change it over `local_url`
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: str = "sizelimit unlimited",
        names: str | None = None,
        access: str = "",
        history: History = History.NONE,
        integrity: bool = False,
        online: bool = False,
    ) -> None:
        binary = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/libexec")
        if binary is None:
            raise RuntimeError("slapd is not installed; `make test` installs it")
        self._slapd = binary
        self.directory = directory
        self.certificates: Certificates = certificates(names) if names else certificates()
        self.port, self.tls_port = free_port(), free_port()
        self._limits = limits
        self._access = access
        self._history = history
        self._integrity = integrity
        self._online = online
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "database").mkdir()
        (directory / "accesslog").mkdir()
        self._configure()

    @property
    def url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def starttls_url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def local_url(self) -> str:
        return f"ldapi://{quote(str(self.directory / 'ldapi'), safe='')}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def load(self, ldif: str | Path, *, with_base: bool = True) -> None:
        """Write entries, as text or in a file, into the stopped server's database, without checks and fast."""
        if isinstance(ldif, Path):
            ldif = ldif.read_text(encoding="utf-8")
        file = self.directory / "load.ldif"
        file.write_text((BASE_LDIF + "\n" if with_base else "") + ldif, encoding="utf-8")
        subprocess.run(
            [self._slapd, "-T", "add", "-q", *self._from, "-b", SUFFIX, "-l", str(file)],
            check=True,
            capture_output=True,
        )

    def start(self) -> None:
        urls = [f"ldap://127.0.0.1:{self.port}", self.url]
        if self._online:
            urls.append(self.local_url)
        log = (self.directory / "slapd.log").open("ab")
        self._process = subprocess.Popen(
            [self._slapd, *self._from, "-d", "0",
             "-h", " ".join(urls)],
            stdout=log, stderr=log,
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.tls_port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, (self.directory / "slapd.log").read_text()
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("slapd did not start: " + (self.directory / "slapd.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def set_access(self, access: str) -> None:
        """Give the stopped server other "access to …" lines."""
        self._access = access
        self._write_configuration()

    def back_up(self) -> Path:
        """Copy the stopped server's database."""
        copy = self.directory / "backup"
        copy_database(self.directory / "database", copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Replace the stopped server's database by a copy, or by nothing when there is none."""
        shutil.rmtree(self.directory / "database")
        if copy.exists():
            copy_database(copy, self.directory / "database")
        else:
            (self.directory / "database").mkdir()

    def modify(self, ldif: str) -> None:
        """Carry out change records as the administrator."""
        done = subprocess.run(
            ["ldapmodify", "-x", "-H", self.starttls_url, "-D", ADMIN_DN, "-w", ADMIN_PASSWORD],
            input=ldif.encode(), capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()

    def settings(self, **changes: object) -> dict[str, object]:
        """A [[sources]] table for the `ldap` connector."""
        table: dict[str, object] = {
            "name": "corp",
            "connector": "ldap",
            "urls": [self.url],
            "base_dn": SUFFIX,
            "bind_dn": READER_DN,
            "bind_password": READER_PASSWORD,
            "ca_file": str(self.certificates.authority),
        }
        return table | changes

    @property
    def _configuration(self) -> Path:
        return self.directory / "slapd.conf"

    @property
    def _from(self) -> tuple[str, str]:
        return ("-F", str(self.directory / "slapd.d")) if self._online else ("-f", str(self._configuration))

    def _configure(self) -> None:
        self._write_configuration()
        if self._online:
            (self.directory / "slapd.d").mkdir()
            command = [self._slapd, "-T", "test", "-n", "0", "-f", str(self._configuration), *self._from]
            subprocess.run(command, check=True, capture_output=True)

    def _write_configuration(self) -> None:
        made = self.certificates
        self._configuration.write_text(f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload syncprov
moduleload accesslog
pidfile {self.directory}/slapd.pid
TLSCACertificateFile {made.authority}
TLSCertificateFile {made.certificate}
TLSCertificateKeyFile {made.key}
{self._limits}
{_ONLINE.format(user=os.geteuid(), group=os.getegid()) if self._online else ""}
{_ACCESS_LOG.format(directory=self.directory) if self._history is History.ACCESS_LOG else ""}
database mdb
suffix {SUFFIX}
rootdn {ADMIN_DN}
rootpw {ADMIN_PASSWORD}
directory {self.directory}/database
maxsize 1073741824
dbnosync
index objectClass,uid,cn,mail,member,entryUUID,entryCSN,modifyTimestamp eq
{self._access}
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact={READER_DN} read by * none
{_OVERLAYS[self._history]}
{_INTEGRITY if self._integrity else ""}
""")
