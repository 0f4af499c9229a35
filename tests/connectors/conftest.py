"""What several tests of the connectors need: a small directory in a real slapd, and a proxy in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ldif_text import group, people, uids
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import OpenLdap


def plain(ldif: str) -> str:
    """slapd makes its own entryUUIDs."""
    return "".join(line + "\n" for line in ldif.splitlines() if not line.startswith("entryUUID:"))


@pytest.fixture
def fifty(openldap: OpenLdap) -> OpenLdap:
    """Fifty people, and one group of them all."""
    openldap.load(plain(people(50) + group("all", *uids(50))))
    openldap.start()
    return openldap


@pytest.fixture
def proxy(fifty: OpenLdap) -> Iterator[LdapFaultProxy]:
    # What is looked up before people and groups are read does not count.
    with LdapFaultProxy(fifty.port, counting=b"memberuid") as proxy:
        yield proxy
