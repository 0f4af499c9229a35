"""The first read of a large directory: time against a bare ldap3 paged search of the same attributes, and memory.

    python -m benchmarks.ldap_read [USERS]

Each part runs in a process of its own, one after the other against the same server, so that its peak memory is its
own. "mirror" is the whole first read as a cycle does it, SQLite included.
"""

from __future__ import annotations

import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ldap3 import NONE, Connection, Server, Tls

from agent.directory.mirror import absorb
from agent.state.database import open_state
from connectors.base import EntryFound, Wanted
from connectors.ldap import LdapConnector, LdapSettings
from tests.population.organisation import Organisation
from tests.servers.openldap import READER_DN, READER_PASSWORD, SUFFIX, History, OpenLdap

_WANTED = Wanted(frozenset({"mail", "sn", "givenname"}))
_ATTRIBUTES = ["objectClass", "entryUUID", "uid", "cn", "displayName", "mail", "sn", "givenName"]
_ATTRIBUTES += ["nsAccountLock", "pwdAccountLockedTime", "member", "uniqueMember", "memberUid"]
_FILTER = "(|(objectClass=person)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup))"


def main() -> None:
    """Start a server and measure the parts against it."""
    users = sys.argv[1] if len(sys.argv) > 1 else "100000"
    with tempfile.TemporaryDirectory() as directory:
        server = OpenLdap(Path(directory), history=History.SESSION_LOG)
        organisation = Organisation.build(users=int(users), groups=200, foreign_share=0.15, seed=1)
        server.load(organisation.ldif(with_containers=False))
        with server:
            seconds: dict[str, float] = {}
            for part in ("bare", "connector", "mirror"):
                command = [sys.executable, "-m", "benchmarks.ldap_read", "--part", part]
                command += [str(server.tls_port), str(server.certificates.authority), directory]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
                seconds[part] = float(said[1])
                print(f"{part:<10} {int(said[0]):>8} entries {seconds[part]:7.2f} s {int(said[2]):>5} MiB peak")
    print(f"connector / bare  {seconds['connector'] / seconds['bare']:.2f}")
    print(f"mirror / bare     {seconds['mirror'] / seconds['bare']:.2f}")


def _measure(part: str, port: int, authority: str, directory: str) -> None:
    began = time.perf_counter()
    entries = {"bare": _bare, "connector": _connector, "mirror": _mirror}[part](port, authority, directory)
    spent = time.perf_counter() - began
    print(entries, spent, _peak() // 1024)


def _peak() -> int:
    """Return this process's peak of memory in KiB. What getrusage says begins with the peak of who started it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])


def _bare(port: int, authority: str, directory: str) -> int:
    del authority, directory
    connection = Connection(
        Server("127.0.0.1", port, use_ssl=True, tls=Tls(validate=ssl.CERT_NONE), get_info=NONE),
        READER_DN,
        READER_PASSWORD,
        auto_bind=True,
        return_empty_attributes=False,
        check_names=False,
    )
    pages = connection.extend.standard.paged_search(
        SUFFIX, _FILTER, attributes=_ATTRIBUTES, paged_size=1000, generator=True
    )
    number = sum(1 for _ in pages)
    connection.unbind()
    return number


def _source(port: int, authority: str) -> LdapConnector:
    return LdapConnector(
        LdapSettings(
            name="corp",
            connector="ldap",
            urls=(f"ldaps://127.0.0.1:{port}",),
            base_dn=(SUFFIX,),
            bind_dn=READER_DN,
            bind_password=READER_PASSWORD,  # type: ignore[arg-type]
            ca_file=Path(authority),
        )
    )


def _connector(port: int, authority: str, directory: str) -> int:
    del directory
    return sum(1 for event in _source(port, authority).read(_WANTED, None) if isinstance(event, EntryFound))


def _mirror(port: int, authority: str, directory: str) -> int:
    state = open_state(Path(directory) / "state")
    outcome = absorb(state, "corp", _source(port, authority).read(_WANTED, None), "fingerprint")
    state.close()
    return outcome.seen


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        _measure(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
    else:
        main()
