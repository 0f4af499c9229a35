"""Which domain controller answers, of which domain, and how far its database is.

An update sequence number counts the changes of one database, that of one domain controller. The database is known by
its invocationId, which is another after every proper restore (MS-ADTS 3.1.1.1.9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.active_directory.extended_name import read_name
from connectors.active_directory.replication import VECTOR, received
from connectors.active_directory.session import ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.distinguished_name import is_under, normalise
from connectors.errors import ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.landmarks import Landmarks, look_at_landmarks

CONTROLLER, USN = "controller", "usn"
_NAMING_CONTEXTS, _SERVICE, _HIGHEST = "namingcontexts", "dsservicename", "highestcommittedusn"


@dataclass(frozen=True, slots=True)
class Whereabouts(Landmarks):
    """What one look at a domain controller tells.

    controller:  its own name in the configuration, and the invocationId of its database
    usn:         the highest update sequence number it has given, read before anything else
    context:     the naming context (the domain) that the bases lie in
    caught_up:   another controller than last time: whether it knows all that was read; None: that cannot be told
    """

    controller: str
    usn: int
    context: str
    caught_up: bool | None = None


def look_around(
    session: ActiveDirectorySession, settings: ActiveDirectorySettings, past: LdapCheckpoint | None
) -> Whereabouts:
    """Look at the controller, and at the bases unless its database is as it was. Raises ReadInterrupted."""
    root = session.look_up("", [_NAMING_CONTEXTS, _SERVICE, _HIGHEST])
    shown = root.attributes if root is not None else {}
    service = read_name(b"".join(shown.get(_SERVICE, ())).decode("utf-8", "replace")).dn
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
    controller, usn = f"{service} {invocation.hex()}", int(highest)
    contexts = [read_name(value.decode("utf-8", "replace")).dn for value in shown.get(_NAMING_CONTEXTS, ())]
    context = _context_of(settings, contexts, session.url)
    if past is not None and past.position.get(CONTROLLER) == controller and past.position.get(USN) == highest.decode():
        return Whereabouts(
            missing=False, identity=past.directory, context_csns={}, controller=controller, usn=usn, context=context
        )
    bases = look_at_landmarks(session, settings)
    return Whereabouts(
        missing=bases.missing,
        identity=bases.identity,
        context_csns={},
        controller=controller,
        usn=usn,
        context=context,
        caught_up=_caught_up(session, context, past.position) if past is not None else None,
    )


def _caught_up(session: ActiveDirectorySession, context: str, past: Mapping[str, str]) -> bool | None:
    invocation = past.get(CONTROLLER, "").rpartition(" ")[2]
    head = session.look_up(context, [VECTOR])
    vector = b"".join(head.attributes.get(VECTOR, ())) if head is not None else b""
    reached = received(vector, invocation) if invocation else None
    return None if reached is None else reached >= int(past[USN])


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
