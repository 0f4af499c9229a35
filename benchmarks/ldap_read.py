"""A full read through the `ldap` connector against a bare ldap3 paged search of the same attributes, in one run."""

from __future__ import annotations

import ssl
import sys
import tempfile
import time
from pathlib import Path

from ldap3 import NONE, Connection, Server, Tls

from connectors.base import EntryFound, Wanted
from connectors.ldap import LdapConnector, LdapSettings
from tests.population.organisation import Organisation
from tests.servers.openldap import READER_DN, READER_PASSWORD, SUFFIX, OpenLdap

_WANTED = Wanted(frozenset({"mail", "sn", "givenname"}))
_ATTRIBUTES = ["objectClass", "entryUUID", "uid", "cn", "displayName", "mail", "sn", "givenName"]
_ATTRIBUTES += ["nsAccountLock", "pwdAccountLockedTime"]


def main() -> None:
    """Measure both in one run; the number of people may be given as an argument."""
    users = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as directory:
        server = OpenLdap(Path(directory))
        server.load(Organisation.build(users=users, groups=50, foreign_share=0.15, seed=1).ldif(with_containers=False))
        with server:
            bare, bare_entries = _bare(server)
            began = time.perf_counter()
            connector = LdapConnector(LdapSettings(**server.settings()))  # type: ignore[arg-type]
            entries = sum(1 for event in connector.read(_WANTED, None) if isinstance(event, EntryFound))
            ours = time.perf_counter() - began
    print(f"bare ldap3   {bare_entries:>8} people            {bare:6.2f} s")
    print(f"connector    {entries:>8} people and groups {ours:6.2f} s")
    print(f"ratio        {ours / bare:.2f}")


def _bare(server: OpenLdap) -> tuple[float, int]:
    tls = Tls(validate=ssl.CERT_NONE)
    began = time.perf_counter()
    connection = Connection(
        Server("127.0.0.1", server.tls_port, use_ssl=True, tls=tls, get_info=NONE),
        READER_DN,
        READER_PASSWORD,
        auto_bind=True,
        return_empty_attributes=False,
        check_names=False,
    )
    pages = connection.extend.standard.paged_search(
        SUFFIX, "(objectClass=person)", attributes=_ATTRIBUTES, paged_size=1000, generator=True
    )
    number = sum(1 for _ in pages)
    connection.unbind()
    return time.perf_counter() - began, number


if __name__ == "__main__":
    main()
