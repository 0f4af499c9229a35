"""Which domain controller answers, of which domain, and how far its database is.

An update sequence number counts the changes of one database, that of one domain controller. The database is known by
its invocationId, which is another after every proper restore (MS-ADTS 3.1.1.1.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.active_directory.extended_name import read_name
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.distinguished_name import domain_of, is_under, normalise
from connectors.errors import ReadInterrupted

USN = "usn"  # in a position: the highest number when the controller was looked at, before anything was read
_NAMING_CONTEXTS, _SERVICE, _HIGHEST = "namingcontexts", "dsservicename", "highestcommittedusn"
_SCHEMA, CURRENT_TIME = "schemanamingcontext", "currenttime"
_ROOT_DOMAIN = "rootdomainnamingcontext"
# MS-ADTS 3.1.1.3.2 has the first for every controller of Windows, and does not know the second. Samba's root DSE shows
# the second ("Samba Team (https://www.samba.org)", 4.17), and not the first.
_POLICIES, _VENDOR = "supportedldappolicies", "vendorname"
_TIME, _DIGITS = "%Y%m%d%H%M%S", 14


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What one look at a domain controller tells.

    controller:  its own name in the configuration, and the invocationId of its database
    usn:         the highest update sequence number it has given, read before anything else
    context:     the naming context (the domain) that the bases lie in
    schema:      where the attribute types are described
    clock:       what time it is there: the controllers of a domain agree on that to a few minutes, as Kerberos wants
                 it, whatever this machine's clock says
    windows:     whether it is known to be a controller of Windows, and neither Samba nor anything else
    """

    controller: str
    usn: int
    context: str
    schema: str
    clock: datetime
    windows: bool


def look_around(session: ActiveDirectorySession, settings: ActiveDirectorySettings) -> Whereabouts:
    """Look at the controller. Raises ReadInterrupted."""
    wanted = [_NAMING_CONTEXTS, _SCHEMA, _SERVICE, _HIGHEST, CURRENT_TIME, _POLICIES, _VENDOR]
    root = session.look_up("", wanted)
    shown = root.attributes if root is not None else {}
    service = _name(b"".join(shown.get(_SERVICE, ())))
    highest = b"".join(shown.get(_HIGHEST, ()))
    if not service or not highest.isdigit():
        raise ReadInterrupted(
            f"source {settings.name}: {session.url} does not answer like a domain controller (no dsServiceName or "
            'highestCommittedUSN). For another directory use connector = "ldap". Nothing is removed.'
        )
    settings_object = session.look_up(service, ["invocationId"])
    invocation = b"".join(settings_object.attributes.get("invocationid", ())) if settings_object is not None else b""
    if not invocation:
        raise ReadInterrupted(
            f"source {settings.name}: the account may not read {service}, which tells one database of a domain "
            "controller from another. Authenticated users may by default; give it that right back. Nothing is removed."
        )
    contexts = [_name(value) for value in shown.get(_NAMING_CONTEXTS, ())]
    return Whereabouts(
        controller=f"{service} {invocation.hex()}",
        usn=int(highest),
        context=_context_of(settings, contexts, session.url),
        schema=_name(b"".join(shown.get(_SCHEMA, ()))),
        clock=read_time(b"".join(shown.get(CURRENT_TIME, ()))) or datetime.now(UTC),
        windows=bool(shown.get(_POLICIES)) and not shown.get(_VENDOR),
    )


def forest_of(session: ActiveDirectorySession, settings: ActiveDirectorySettings) -> str:
    """Return the DNS name of the forest, which is that of its root domain. Raises ReadInterrupted."""
    root = session.look_up("", [_ROOT_DOMAIN])
    domain = domain_of(normalise(_name(b"".join(root.attributes.get(_ROOT_DOMAIN, ()))))) if root is not None else ""
    if not domain:
        raise ReadInterrupted(
            f"source {settings.name}: {session.url} does not tell the forest's name (rootDomainNamingContext). Name "
            "the global catalogues as global_catalog_urls."
        )
    return domain


def read_time(value: bytes) -> datetime | None:
    """Read a GeneralizedTime up to the seconds (RFC 4517, 3.3.13); None for what is none."""
    try:
        return datetime.strptime(value[:_DIGITS].decode("ascii"), _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def highest_number(session: ActiveDirectorySession) -> int:
    """Return the highest update sequence number the controller has given by now. Raises ReadInterrupted."""
    root = session.look_up("", [_HIGHEST])
    highest = b"".join(root.attributes.get(_HIGHEST, ())) if root is not None else b""
    if not highest.isdigit():
        raise ReadInterrupted(
            f"{session.url} no longer tells its highestCommittedUSN. What was not read stays as it was."
        )
    return int(highest)


def _name(value: bytes) -> str:
    return read_name(value.decode("utf-8", "replace")).dn


def _context_of(settings: ActiveDirectorySettings, contexts: list[str], url: str) -> str:
    holding = {
        max((context for context in contexts if is_under(normalise(base), normalise(context))), key=len, default="")
        for base in settings.scopes
    }
    if len(holding) == 1 and "" not in holding:
        return holding.pop()
    raise ReadInterrupted(
        f"source {settings.name}: {' and '.join(settings.scopes)} are not in one domain that {url} holds "
        f"({', '.join(contexts)}). Correct base_dn; another domain is another source. Nothing is removed."
    )
