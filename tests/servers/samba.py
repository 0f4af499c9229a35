"""A private Samba Active Directory domain controller on a loopback address of its own, everything in one directory.

A domain is provisioned once for a run of the tests, which takes a quarter of a minute, and copied for each of them.
Active Directory's ports are fixed, so every controller has its own address, and root is needed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.servers.certificates import Certificates, certificates
from tests.servers.database_copy import copy_database
from tests.servers.ports import RUN, WORKER

REALM = "CORP.TEST"
HOST = "dc1.corp.test"
NAMING_CONTEXT = "DC=corp,DC=test"
ADMIN = "Administrator@corp.test"
ADMIN_PASSWORD = "Directory-2026-Heron"
READER_PASSWORD = "Reader-2026-Plover"
_PYTHON = "/usr/bin/python3"  # the one that Debian's python3-samba belongs to
_FOLDERS = ("etc", "private", "state", "cache", "lock", "run", "bind-dns", "ncalrpc", "ntp", "winbind")
_FIRST_NETWORK, _NETWORKS = 20, 200
_hosts = itertools.count(2)
_FAST = {"TDB_NO_FSYNC": "1"}  # throw-away data need not survive a power cut

_CONFIGURATION = """[global]
netbios name = DC1
realm = {realm}
workgroup = {workgroup}
server role = active directory domain controller
interfaces = {address}/8
bind interfaces only = yes
server services = ldap cldap rpc kdc{dns}
allow dns updates = nonsecure
private dir = {directory}/private
state directory = {directory}/state
cache directory = {directory}/cache
lock directory = {directory}/lock
pid directory = {directory}/run
binddns dir = {directory}/bind-dns
ncalrpc dir = {directory}/ncalrpc
ntp signd socket directory = {directory}/ntp
winbindd socket directory = {directory}/winbind
log file = {directory}/log.%m
dns update command = /bin/true
spn update command = /bin/true
ldap server require strong auth = {encryption}
tls enabled = yes
tls keyfile = {directory}/server.key
tls certfile = {certificates.certificate}
tls cafile = {certificates.authority}
[sysvol]
path = {directory}/state/sysvol
read only = no
"""


class SambaDomain:
    """Use as a context manager; load first. `directory` is made.

    plain:  passwords are taken without TLS, too, so that a proxy can look at what is said
    dns:    it serves the DNS of the domain, too
    also:   further names that its certificate is for
    realm:  another one is another domain, with other SIDs
    """

    def __init__(
        self,
        directory: Path,
        *,
        plain: bool = False,
        dns: bool = False,
        also: Sequence[str] = (),
        realm: str = REALM,
    ) -> None:
        self.directory = directory
        self.realm = realm
        self.address = f"127.{_FIRST_NETWORK + RUN % _NETWORKS}.{WORKER + 1}.{next(_hosts)}"
        self.certificates: Certificates = certificates(
            ",".join([f"IP:{self.address}", *(f"DNS:{name}" for name in (f"dc1.{realm.lower()}", *also))]),
            f"samba-{self.address}",
        )
        self._ports = (636, 88, 53) if dns else (636, 88)
        self._process: subprocess.Popen[bytes] | None = None
        shutil.copytree(_template(realm, "SAMBA_INTERNAL" if dns else "NONE"), directory)
        # Samba wants a key that nobody else may read.
        shutil.copy(self.certificates.key, directory / "server.key")
        (directory / "server.key").chmod(0o600)
        self._configuration.write_text(
            _CONFIGURATION.format(
                realm=realm,
                workgroup=_workgroup(realm),
                address=self.address,
                directory=directory,
                certificates=self.certificates,
                encryption="no" if plain else "allow_sasl_over_tls",
                dns=" dns" if dns else "",
            )
        )

    @property
    def url(self) -> str:
        return f"ldaps://{self.address}"

    @property
    def port(self) -> int:
        return 389

    @property
    def naming_context(self) -> str:
        return ",".join(f"DC={label}" for label in self.realm.lower().split("."))

    @property
    def admin(self) -> str:
        return f"Administrator@{self.realm.lower()}"

    def sid_of(self, name: str) -> str:
        """The SID of an account, by its sAMAccountName, from the stopped or running controller's database."""
        done = subprocess.run(
            [_PYTHON, "-c", _SID, str(self._configuration), str(self.directory / "private" / "sam.ldb"), name],
            check=True, capture_output=True, text=True, env=_with_sbin() | _FAST,
        )  # fmt: skip
        return done.stdout.strip()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def start(self) -> None:
        with (self.directory / "samba.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["samba", "-s", str(self._configuration), "-F", "--no-process-group", "--debug-stdout", "-M", "single"],
                stdout=log, stderr=log, env=_with_sbin() | _FAST,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                for port in self._ports:
                    socket.create_connection((self.address, port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, (self.directory / "samba.log").read_text()
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("samba did not start: " + (self.directory / "samba.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def back_up(self) -> Path:
        """Copy the stopped controller's databases."""
        copy = self.directory.with_name(self.directory.name + "-backup")
        copy_database(self.directory / "private", copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Replace the stopped controller's databases by a copy."""
        shutil.rmtree(self.directory / "private")
        copy_database(copy, self.directory / "private")

    def load(self, ldif: str, *, passwords: dict[str, str] | None = None) -> None:
        """Write entries into the stopped controller's database, 500 in one transaction; passwords by sAMAccountName."""
        file = self.directory / "load.ldif"
        file.write_text(ldif, encoding="utf-8")
        lines = "".join(f"{name}\t{password}\n" for name, password in (passwords or {}).items())
        done = subprocess.run(
            [_PYTHON, "-c", _LOAD, str(self._configuration), str(self.directory / "private" / "sam.ldb"), str(file)],
            input=lines.encode(), check=False, capture_output=True, env=_with_sbin() | _FAST,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()

    def export_keytab(self, file: Path) -> None:
        """Write the Kerberos keys of all accounts into a keytab."""
        subprocess.run(
            ["samba-tool", "domain", "exportkeytab", str(file), "-s", str(self._configuration)],
            check=True, capture_output=True, env=_with_sbin() | _FAST,
        )  # fmt: skip

    def modify(self, ldif: str, *controls: str) -> None:
        """Carry out change records as the administrator."""
        options = [option for control in controls for option in ("-e", control)]
        done = subprocess.run(
            ["ldapmodify", "-x", *options, "-H", self.url, "-D", self.admin, "-w", ADMIN_PASSWORD],
            input=ldif.encode(), capture_output=True, check=False,
            env=os.environ | {"LDAPTLS_CACERT": str(self.certificates.authority)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()

    def grant(self, dn: str, sddl: str, to: str = "reader") -> None:
        """Add an access control entry to an object of the stopped controller; PSID in it stands for the account."""
        database = self.directory / "private" / "sam.ldb"
        subprocess.run(
            [_PYTHON, "-c", _GRANT, str(self._configuration), str(database), dn, sddl, to],
            check=True, capture_output=True, env=_with_sbin() | _FAST,
        )  # fmt: skip

    def become_another(self, received: int | None) -> None:
        """Give the stopped controller's database another identity, as a restore does.

        received:  how far its vector says that it has received the changes of its former self; None: no vector
        """
        subprocess.run(
            [_PYTHON, "-c", _ANOTHER, str(self._configuration), str(self.directory / "private" / "sam.ldb"),
             "" if received is None else str(received)],
            check=True, capture_output=True, env=_with_sbin() | _FAST,
        )  # fmt: skip

    def settings(self, **changes: object) -> dict[str, object]:
        """A [[sources]] table for the `active-directory` connector."""
        table: dict[str, object] = {
            "name": "corp",
            "connector": "active-directory",
            "urls": [self.url],
            "base_dn": self.naming_context,
            "bind_dn": self.admin,
            "bind_password": ADMIN_PASSWORD,
            "ca_file": str(self.certificates.authority),
        }
        return table | changes

    @property
    def _configuration(self) -> Path:
        return self.directory / "etc" / "smb.conf"


_CONNECT = """
import sys
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB
parameters = LoadParm()
parameters.load(sys.argv[1])
database = SamDB(url=sys.argv[2], session_info=system_session(), lp=parameters)
"""

_LOAD = (
    _CONNECT
    + """
import itertools
import ldb
from samba import dsdb
changes = database.parse_ldif(open(sys.argv[3], encoding="utf-8").read())
while some := list(itertools.islice(changes, 500)):
    database.transaction_start()
    for kind, message in some:
        if kind == ldb.CHANGETYPE_DELETE:
            database.delete(message.dn)
        elif kind == ldb.CHANGETYPE_MODIFY:  # also of what the controller keeps for itself, like the age of a password
            database.modify(message, controls=["local_oid:" + dsdb.DSDB_CONTROL_BYPASS_PASSWORD_HASH_OID + ":0"])
        else:
            database.add(message)
    database.transaction_commit()
for line in sys.stdin:
    name, password = line.rstrip("\\n").split("\\t")
    database.setpassword("(sAMAccountName=%s)" % name, password)
    database.enable_account("(sAMAccountName=%s)" % name)
"""
)

_SID = (
    _CONNECT
    + """
from samba.dcerpc import security
from samba.ndr import ndr_unpack
(entry,) = database.search(expression="(sAMAccountName=%s)" % sys.argv[3], attrs=["objectSid"])
print(ndr_unpack(security.dom_sid, entry["objectSid"][0]))
"""
)

_GRANT = (
    _CONNECT
    + """
import ldb
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
reader = database.search(expression="(sAMAccountName=%s)" % sys.argv[5], attrs=["objectSid"])[0]["objectSid"][0]
sid = str(ndr_unpack(security.dom_sid, reader))
(entry,) = database.search(base=sys.argv[3], scope=ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"],
                           controls=["show_deleted:1"])
descriptor = ndr_unpack(security.descriptor, entry["nTSecurityDescriptor"][0])
added = security.descriptor.from_sddl("D:" + sys.argv[4].replace("PSID", sid),
                                      security.dom_sid(database.get_domain_sid()))
for ace in added.dacl.aces:
    descriptor.dacl_add(ace, 0)  # before what is allowed
message = ldb.Message(entry.dn)
message["sd"] = ldb.MessageElement(ndr_pack(descriptor), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
database.modify(message, controls=["show_deleted:1"])
"""
)

_ANOTHER = (
    _CONNECT
    + """
import struct
import uuid
import ldb
(service,) = database.search(base=str(database.get_dsServiceName()), scope=ldb.SCOPE_BASE, attrs=["invocationId"])
former, now = service["invocationId"][0], uuid.uuid4().bytes_le
message = ldb.Message(service.dn)
message["invocationId"] = ldb.MessageElement(now, ldb.FLAG_MOD_REPLACE, "invocationId")
database.modify(message, controls=["relax:0"])
if sys.argv[3]:
    # MS-DRSR, UPTODATE_VECTOR_V2_EXT
    vector = struct.pack("<IIII16sQQ", 2, 0, 1, 0, former, int(sys.argv[3]), 0)
    message = ldb.Message(ldb.Dn(database, database.domain_dn()))
    message["vector"] = ldb.MessageElement(vector, ldb.FLAG_MOD_REPLACE, "replUpToDateVector")
    database.modify(message, controls=["relax:0"])
"""
)


def _template(realm: str, dns_backend: str) -> Path:
    """Provision a domain, once for all the workers of a run of the tests."""
    place, what = _shared(), f"{realm.lower()}-{dns_backend}"
    place.mkdir(exist_ok=True)
    with (place / f"lock-{what}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready, unfinished = place / f"domain-{what}", place / f"unfinished-{what}"
        if not ready.exists():
            _provision(unfinished, realm, dns_backend)
            unfinished.rename(ready)
    return ready


def _workgroup(realm: str) -> str:
    return realm.partition(".")[0]


def remove_template() -> None:
    """Remove what this run provisioned."""
    shutil.rmtree(_shared(), ignore_errors=True)


def _shared() -> Path:
    return Path(tempfile.gettempdir()) / f"rollcall-samba-{RUN}"


def _provision(directory: Path, realm: str, dns_backend: str) -> None:
    if shutil.which("samba", path=_with_sbin()["PATH"]) is None:
        raise RuntimeError("samba is not installed; `make test` installs it")
    directory.mkdir()
    done = subprocess.run(
        ["samba-tool", "domain", "provision", "--configfile=/dev/null", f"--realm={realm}",
         f"--domain={_workgroup(realm)}", "--server-role=dc",
         f"--adminpass={ADMIN_PASSWORD}", f"--dns-backend={dns_backend}",
         f"--targetdir={directory}", "--host-ip=127.0.0.1", "--host-name=dc1"],
        capture_output=True, check=False, env=_with_sbin() | _FAST,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for folder in _FOLDERS:
        (directory / folder).mkdir(exist_ok=True)
    for folder in ("ncalrpc", "winbind"):
        (directory / folder).chmod(0o755)


def _with_sbin() -> dict[str, str]:
    return os.environ | {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
