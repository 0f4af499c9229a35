"""The `ldap` connector: any LDAPv3 directory (RFC 4511) with the usual schemas. ldap3 is used in this room only."""

from connectors.ldap.connector import LdapConnector
from connectors.ldap.settings import LdapSettings

__all__ = ["LdapConnector", "LdapSettings"]
