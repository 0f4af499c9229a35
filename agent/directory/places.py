"""Where an unknown member points to, and what to do to have it known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from agent.state.tables import entry, name, source
from connectors.base import Completeness, NameKind, Reach, SourceSettings
from connectors.distinguished_name import DistinguishedNameError, domain_of, normalise

_DOMAIN_SID = "s-1-5-21-"  # of accounts of a domain or a machine (MS-DTYP 2.4.2.4); all others are well-known
_WELL_KNOWN = {
    "s-1-1-0": "Everyone",
    "s-1-5-4": "Interactive",
    "s-1-5-7": "Anonymous Logon",
    "s-1-5-9": "Enterprise Domain Controllers",
    "s-1-5-11": "Authenticated Users",
    "s-1-5-15": "This Organization",
    "s-1-5-17": "IUSR",
    "s-1-5-18": "Local System",
    "s-1-5-19": "Local Service",
    "s-1-5-20": "Network Service",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A domain, and what has to be done to have its members known."""

    domain: str
    remedy: str


class Places:
    """Knows the sources, as they are configured and as they were read."""

    def __init__(self, connection: Connection, sources: Sequence[SourceSettings]) -> None:
        self._connection = connection
        self._sources = {settings.name: settings for settings in sources}
        self._read = {row.name: row for row in connection.execute(select(source))}
        self._owner_of_domain: dict[str, str | None] = {}  # by the SID of the domain

    def of(self, kind: str, value: str, lister: str, group_dn: str) -> Place:
        """Return the place of a name that a group of the source `lister` lists.

        value: of a GUID, with the DN behind it if the group lies in another domain
        """
        match kind:
            case NameKind.SID:
                return self._of_sid(value)
            case NameKind.UID:
                return Place(f"the uids of source {lister}", self._not_shown(lister))
            case NameKind.GUID if " " not in value:
                # Without a DN beside it, it lies in the group's own domain.
                return Place(domain_of(_normal(group_dn)) or f"source {lister}", self._not_shown(lister))
            case _:
                return self._of_dn(
                    _normal(value.partition(" ")[2] if kind == NameKind.GUID else value), lister, group_dn
                )

    def _of_dn(self, dn: str, lister: str, group_dn: str) -> Place:
        domain = domain_of(dn) or _last_parts(dn)
        reaches = {settings.name: settings.reach(dn) for settings in self._sources.values()}
        for reach in (Reach.WITHIN, Reach.OUTSIDE):
            for owner, reached in reaches.items():
                if reached is reach:
                    return Place(domain, self._not_shown(owner) if reach is Reach.WITHIN else self._outside(owner))
        group = _normal(group_dn)
        if domain == (domain_of(group) or _last_parts(group)) and all(
            reached is Reach.ELSEWHERE for reached in reaches.values()
        ):
            return Place(domain, self._not_shown(lister))
        return Place(domain, self._add(domain, lister))

    def _of_sid(self, sid: str) -> Place:
        if not sid.startswith(_DOMAIN_SID):
            known = f"{sid.upper()} ({_WELL_KNOWN[sid]})" if sid in _WELL_KNOWN else sid.upper()
            return Place(
                known,
                "it is a well-known principal, which stands for no person; put the people, or a group of them, into "
                "the group instead",
            )
        domain = sid.rpartition("-")[0]
        if domain not in self._owner_of_domain:
            self._owner_of_domain[domain] = self._source_with(domain)
        owner = self._owner_of_domain[domain]
        if owner is not None:
            return Place(domain.upper(), self._not_shown(owner))
        # The catalogue is one forest's, and a SID is how members of another one are listed.
        return Place(domain.upper(), f"add a source for the domain with the SID {domain.upper()}")

    def _source_with(self, domain: str) -> str | None:
        """Return a configured source that holds somebody of the domain with this SID."""
        somebody = (
            select(entry.c.source)
            .join(name, name.c.entry_id == entry.c.id)
            .where(
                name.c.kind == NameKind.SID.value,
                name.c.value >= f"{domain}-",
                name.c.value < f"{domain}.",  # comes after the hyphen
                entry.c.source.in_(list(self._sources)),
            )
            .limit(1)
        )
        return self._connection.execute(somebody).scalar()

    def _add(self, domain: str, lister: str) -> str:
        settings = self._sources.get(lister)
        other = settings.other_domains if settings is not None else ""
        return f"add a source for {domain}" + (f", or {other}" if other else "")

    def _outside(self, owner: str) -> str:
        return self._not_read_yet(owner) or (
            f"they lie outside of where source {owner} reads; add the place where they are to its base_dn, or to "
            "user_base_dn where it is set"
        )

    def _not_shown(self, owner: str) -> str:
        return self._not_read_yet(owner) or (
            f"source {owner} was read and does not show them; check that its bases and filters include them, that its "
            "account may read them, and that they are still there"
        )

    def _not_read_yet(self, owner: str) -> str:
        if owner not in self._sources:
            return f"source {owner} is no longer configured; add it again to have its members known"
        row = self._read.get(owner)
        if row is not None and row.last_complete_at is not None and row.completeness == Completeness.COMPLETE.value:
            return ""
        why = f" ({row.reason.rstrip('.')})" if row is not None and row.reason else ""
        return f"source {owner} has not been read completely{why}; they are looked for again as soon as it is"


def _normal(dn: str) -> str:
    try:
        return normalise(dn)
    except DistinguishedNameError:
        return dn.lower()


def _last_parts(dn: str) -> str:
    """Return the end of a name without dc parts: its last part, or two where the last is a country."""
    parts = dn.rsplit(",", 2)
    return ",".join(parts[-2:] if parts[-1].startswith("c=") else parts[-1:])
