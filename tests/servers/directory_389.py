"""A private 389 Directory Server on loopback: everything it has lies in one directory. Ends with the test.

It needs neither root nor dscreate: ns-slapd runs from the packaged template of its configuration, filled in with
private paths.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

from tests.servers.certificates import Certificates, certificates
from tests.servers.database_copy import copy_database
from tests.servers.ports import free_port

SUFFIX = "dc=example,dc=com"
ADMIN_DN = "cn=Directory Manager"
ADMIN_PASSWORD = "gate-Keeper-17"
READER_DN = f"cn=rollcall,{SUFFIX}"
READER_PASSWORD = "b1nd-Kestrel-4711"

# The reader's own limits stand above the server's: 2,000 entries in one answer and 5,000 candidates of a search.
BASE_LDIF = f"""dn: {SUFFIX}
objectClass: domain
dc: example
aci: (targetattr != "userPassword || aci")(version 3.0; acl "Rollcall reads"; allow (read, search, compare)
 (userdn = "ldap:///{READER_DN}");)

dn: {READER_DN}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: rollcall
userPassword: {READER_PASSWORD}
nsSizeLimit: -1
nsLookThroughLimit: -1
nsIDListScanLimit: 2147483647
nsPagedSizeLimit: -1
nsPagedLookThroughLimit: -1
nsPagedIDListScanLimit: 2147483647

dn: ou=People,{SUFFIX}
objectClass: organizationalUnit
ou: People

dn: ou=Groups,{SUFFIX}
objectClass: organizationalUnit
ou: Groups
"""

_PACKAGED = Path("/usr/share/dirsrv/data")
_BACKEND = "userRoot"
_PLUGINS = "cn=plugins,cn=config"

Configuration = Mapping[str, Mapping[str, str | list[str]]]
WITHOUT_INTEGRITY: Configuration = {
    f"cn=MemberOf Plugin,{_PLUGINS}": {"nsslapd-pluginenabled": "off"},
    f"cn=referential integrity postoperation,{_PLUGINS}": {"nsslapd-pluginenabled": "off"},
}
CHANGELOG_AS_IT_COMES: Configuration = {f"cn=Retro Changelog Plugin,{_PLUGINS}": {"nsslapd-attribute": []}}


class Directory389:
    """Use as a context manager: `load` it, then start it.

    content_synchronisation:  RFC 4533, and the retro changelog that it reads; an installed server has both off
    configuration:            DN of an entry in dse.ldif to attributes that are added to it or take the place of its own
    """

    def __init__(
        self,
        directory: Path,
        *,
        content_synchronisation: bool = True,
        configuration: Configuration | None = None,
    ) -> None:
        binary = shutil.which("ns-slapd", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise RuntimeError("389 Directory Server is not installed; `make test` installs it")
        self._ns_slapd = binary
        self.directory = directory
        self.certificates: Certificates = certificates()
        self.port, self.tls_port = free_port(), free_port()
        # The server names a semaphore, which every process of the machine sees, after this directory.
        self._configuration = directory / f"configuration-{uuid.uuid4().hex}"
        self._process: subprocess.Popen[bytes] | None = None
        self._configure(_switched(content_synchronisation), configuration or {})

    @property
    def url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def starttls_url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # An orderly end takes two seconds; nobody needs the database any more.
        if self._process is not None:
            self._process.kill()
        self.stop()

    def load(self, ldif: str | Path, *, with_base: bool = True) -> None:
        """Make these entries the whole content of the stopped server's database, fast.

        No plug-in runs, so nobody gets a memberOf, and no entry an entryUUID that does not bring its own. Every entry
        gets its nsUniqueId. The server leaves out what its schema does not allow; that fails here.
        """
        if isinstance(ldif, Path):
            ldif = ldif.read_text(encoding="utf-8")
        assert self._process is None, "stop the server first"
        file = self.directory / "ldif" / "load.ldif"
        file.write_text((BASE_LDIF + "\n" if with_base else "") + ldif, encoding="utf-8")
        done = subprocess.run(
            [self._ns_slapd, "ldif2db", "-D", str(self._configuration), "-n", _BACKEND, "-i", str(file)],
            check=False,
            capture_output=True,
        )
        said = done.stderr.decode()
        assert done.returncode == 0, said
        assert "Skipping entry" not in said, said

    def start(self) -> None:
        with (self.directory / "log" / "output").open("ab") as output:
            # With -d it stays in the foreground, so the process to stop is the one started here.
            self._process = subprocess.Popen(
                [self._ns_slapd, "-D", str(self._configuration), "-i", str(self.directory / "run" / "pid"), "-d", "0"],
                stdout=output, stderr=output,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.tls_port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, self._said()
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("ns-slapd did not start: " + self._said())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None
            Path(f"/dev/shm/sem.{self._configuration.name}.stats").unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def back_up(self) -> Path:
        """Copy the stopped server's databases, the changelog among them."""
        copy = self.directory / "backups" / "copy"
        copy_database(self.directory / "database", copy)
        return copy

    def restore(self, copy: Path) -> None:
        """Replace the stopped server's databases by a copy."""
        shutil.rmtree(self.directory / "database")
        copy_database(copy, self.directory / "database")

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
            "anchor": "nsUniqueId",
        }
        return table | changes

    def _said(self) -> str:
        files = [self.directory / "log" / name for name in ("output", "errors")]
        return "\n".join(file.read_text(encoding="utf-8") for file in files if file.exists())

    def _configure(self, *changes: Configuration) -> None:
        (self._configuration / "schema").mkdir(parents=True)
        for name in ("backups", "database", "ldif", "locks", "log", "run", "temporary"):
            (self.directory / name).mkdir()
        # The packaged ones lie where only root and the server's own account may read.
        (self._configuration / "certmap.conf").write_text("certmap default default\n")
        (self._configuration / "schema" / "99user.ldif").write_text("dn: cn=schema\n")
        shutil.copytree(_certificate_database(self.certificates), self.directory / "certificates")
        text = "\n\n".join((_PACKAGED / f"template-{name}.ldif").read_text() for name in ("dse", "suffix-db"))
        values = self._template_values()
        text = re.sub(r"%(\w+)%", lambda found: values[found[1]], text)
        entries = _entries(text)
        for change in (self._network(), _SMALL_AND_FAST, *changes):
            for dn, attributes in change.items():
                _set(entries.setdefault(dn.lower(), [f"dn: {dn}"]), attributes)
        (self._configuration / "dse.ldif").write_text("\n\n".join("\n".join(e) for e in entries.values()) + "\n")

    def _network(self) -> Configuration:
        return {
            "cn=config": {
                "nsslapd-listenhost": "127.0.0.1",
                "nsslapd-securelistenhost": "127.0.0.1",
                "nsslapd-security": "on",
                "nsslapd-secureport": str(self.tls_port),
            }
        }

    def _template_values(self) -> dict[str, str]:
        here = self.directory
        return {
            "schema_dir": f"{self._configuration}/schema",
            "config_dir": str(self._configuration),
            "cert_dir": f"{here}/certificates",
            "inst_dir": str(here),
            "lock_dir": f"{here}/locks",
            "tmp_dir": f"{here}/temporary",
            "ldif_dir": f"{here}/ldif",
            "bak_dir": f"{here}/backups",
            "run_dir": f"{here}/run",
            "log_dir": f"{here}/log",
            "db_dir": f"{here}/database",
            "db_home_dir": f"{here}/database",
            "db_lib": "bdb",
            "fqdn": "localhost",
            "ds_port": str(self.port),
            # Started by root, the server would change to another account.
            "ds_user": here.owner(),
            "rootdn": ADMIN_DN,
            "ds_passwd": _hashed(ADMIN_PASSWORD),
            "ds_suffix": SUFFIX,
            "ds_bename": _BACKEND,
            "ldapi": f"{here}/run/ldapi",
            "ldapi_enabled": "off",
            "ldapi_autobind": "off",
        }


# Without these the server takes a tenth of the machine's memory for caches and waits for the disk at each change.
_SMALL_AND_FAST: Configuration = {
    f"cn=Internationalization Plugin,{_PLUGINS}": {"nsslapd-pluginenabled": "off"},
    "cn=config": {"nsslapd-accesslog-logging-enabled": "off", "nsslapd-securitylog-logging-enabled": "off"},
    "cn=config,cn=ldbm database,cn=plugins,cn=config": {
        "nsslapd-cache-autosize": "0",
        "nsslapd-dbcachesize": "20000000",
        "nsslapd-import-cache-autosize": "0",
        "nsslapd-import-cachesize": "20000000",
        "nsslapd-db-durable-transaction": "off",
    },
}


def _switched(content_synchronisation: bool) -> Configuration:
    on = {"nsslapd-pluginenabled": "on"}
    plugins: dict[str, Mapping[str, str | list[str]]] = {
        f"cn=MemberOf Plugin,{_PLUGINS}": on,
        f"cn=referential integrity postoperation,{_PLUGINS}": on,
    }
    if content_synchronisation:
        plugins[f"cn=Content Synchronization,{_PLUGINS}"] = on
        # Content Synchronization tells entries by what the changelog says under these names.
        plugins[f"cn=Retro Changelog Plugin,{_PLUGINS}"] = on | {
            "nsslapd-attribute": ["nsuniqueid:targetUniqueId", "entryuuid:targetEntryUUID"],
        }
    return plugins


def _entries(ldif: str) -> dict[str, list[str]]:
    """Split into entries by their DN, each as its unfolded lines. The server refuses comments and empty entries."""
    unfolded = re.sub(r"\n ", "", re.sub(r"(?m)^#.*\n", "", ldif))
    entries = [text.strip().splitlines() for text in re.split(r"\n{2,}", unfolded) if text.strip()]
    return {lines[0].removeprefix("dn:").strip().lower(): lines for lines in entries}


def _set(lines: list[str], attributes: Mapping[str, str | list[str]]) -> None:
    """Give an entry these attributes instead of those of the same type."""
    replaced = tuple(f"{name.lower()}:" for name in attributes)
    lines[:] = [line for line in lines if not line.lower().startswith(replaced)]
    for name, values in attributes.items():
        lines.extend(f"{name}: {value}" for value in ([values] if isinstance(values, str) else values))


def _hashed(password: str) -> str:
    salt = b"salt for a test"
    return "{SSHA256}" + base64.b64encode(hashlib.sha256(password.encode() + salt).digest() + salt).decode()


@cache
def _certificate_database(made: Certificates) -> Path:
    """An NSS database without a password that holds the authority, and the server's certificate as Server-Cert."""
    directory = Path(tempfile.mkdtemp(prefix="rollcall-certificates-389-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    bundle, name = directory.with_suffix(".p12"), f"sql:{directory}"
    try:
        _run("openssl", "pkcs12", "-export", "-name", "Server-Cert", "-passout", "pass:",
             "-in", str(made.certificate), "-inkey", str(made.key), "-out", str(bundle))  # fmt: skip
        _run("certutil", "-N", "-d", name, "--empty-password")
        _run("certutil", "-A", "-d", name, "-n", "Authority", "-t", "CT,,", "-a", "-i", str(made.authority))
        _run("pk12util", "-d", name, "-i", str(bundle), "-W", "", "-K", "")
    finally:
        bundle.unlink(missing_ok=True)
    return directory


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == 0, f"{command[0]}: {done.stderr.decode()}"
