"""Which change detection serves a directory: what the settings ask for, or the best the server proves it can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ldap3.utils.conv import escape_filter_chars

from connectors.base import EntriesListed
from connectors.errors import ReadInterrupted
from connectors.ldap.checkpoint import LdapCheckpoint
from connectors.ldap.content_synchronisation import SYNC_REQUEST
from connectors.ldap.detection import ChangeDetection
from connectors.ldap.found import Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks, look_at_landmarks
from connectors.ldap.last_resort import EveryReadFull, why_passed_over
from connectors.ldap.listing import list_entries
from connectors.ldap.session import Session
from connectors.ldap.settings import LdapSettings
from connectors.ldap.syncrepl import Dialect, Syncrepl, syncrepl_name
from connectors.ldap.syncrepl_389 import Directory389Dialect
from connectors.ldap.syncrepl_openldap import OpenLdapDialect
from connectors.ldap.timestamps import Timestamps

_DIALECTS: tuple[Dialect, ...] = (OpenLdapDialect(), Directory389Dialect())


class LdapMake:
    """LDAP directories of any make: what they are is found out by asking."""

    attributes: frozenset[str] = frozenset()

    def __init__(self, session: Session, settings: LdapSettings, interpretation: Interpretation) -> None:
        self._session = session
        self._settings = settings
        self._interpretation = interpretation

    def landmarks(self, past: LdapCheckpoint | None, *, full: bool) -> Landmarks:
        """Look at every base."""
        del past, full
        return self.bases()

    def bases(self) -> Landmarks:
        """Look at every base."""
        return look_at_landmarks(self._session, self._settings)

    def behind(self, past: LdapCheckpoint, landmarks: Landmarks) -> bool:
        """Let the change detection compare that was in use, though the settings may ask for another now."""
        used = next((one for one in self._comparing() if one.name == past.strategy), None)
        return used is not None and used.behind(past.position, landmarks)

    def observe(self, found: Found) -> None:
        """The change detection sees it, too."""

    def standing(self) -> Mapping[str, str]:
        """What there is to compare is in the position of the change detection."""
        return {}

    def everything(self) -> Iterator[EntriesListed]:
        """Yield the anchors of all people and groups. Raises ReadInterrupted."""
        return list_entries(self._session, self._settings, self._interpretation)

    def filter_for(self, anchors: Sequence[str]) -> str:
        """Compare the anchor."""
        any_of_them = (f"({self._settings.anchor}={escape_filter_chars(anchor)})" for anchor in anchors)
        return f"(|{''.join(any_of_them)})"

    def begin_detection(self, passed_over: str = "") -> tuple[ChangeDetection, str]:
        """Take what the settings ask for, or the best the server proves it can do."""
        settings = self._settings
        if settings.changes == "full":
            return EveryReadFull(self.everything), ""
        timestamps = Timestamps(self._session, settings, self._interpretation)
        if settings.changes == "timestamps":
            return self._begun(timestamps, "")
        dialect, why_not = _dialect_of(self._session, settings)
        if dialect is not None and settings.changes == "auto" and syncrepl_name(dialect) == passed_over:
            instead = self._begun(timestamps, why_passed_over(passed_over))
            if instead[0] is timestamps:
                return instead
        if dialect is not None:
            syncrepl = Syncrepl(self._session, settings, self._interpretation, dialect)
            try:
                syncrepl.begin()
            except ReadInterrupted as error:
                why_not = str(error)
            else:
                return syncrepl, ""
        if settings.changes == "syncrepl":
            return EveryReadFull(self.everything), f"syncrepl does not work here, so every read is full: {why_not}"
        return self._begun(timestamps, why_not)

    def _begun(self, timestamps: Timestamps, why_no_better: str) -> tuple[ChangeDetection, str]:
        try:
            timestamps.begin()
        except ReadInterrupted as error:
            return EveryReadFull(self.everything), "; ".join(filter(None, (why_no_better, str(error))))
        return timestamps, why_no_better

    def detection_named(self, name: str) -> ChangeDetection | None:
        """Make it, unless the settings ask for another now."""
        asked = {"auto", "syncrepl"} if name != Timestamps.name else {"auto", "timestamps"}
        if self._settings.changes not in asked:
            return None
        return next((one for one in self._comparing() if one.name == name), None)

    def _comparing(self) -> list[Syncrepl | Timestamps]:
        of_dialects = [Syncrepl(self._session, self._settings, self._interpretation, dialect) for dialect in _DIALECTS]
        return [*of_dialects, Timestamps(self._session, self._settings, self._interpretation)]


def dialect_named(strategy: str) -> Dialect | None:
    """Return the dialect of the syncrepl that a checkpoint names; None when it names something else."""
    return next((dialect for dialect in _DIALECTS if syncrepl_name(dialect) == strategy), None)


def _dialect_of(session: Session, settings: LdapSettings) -> tuple[Dialect | None, str]:
    """Return how this make of server speaks RFC 4533, or why that is not known."""
    root = session.look_up("", ["supportedControl", "objectClass", "vendorName", "vendorVersion"])
    attributes = root.attributes if root is not None else {}
    if SYNC_REQUEST.encode() not in attributes.get("supportedcontrol", ()):
        return None, f"{session.url} does not offer syncrepl"
    dialect: Dialect
    if b"openldaprootdse" in {value.lower() for value in attributes.get("objectclass", ())}:
        dialect = OpenLdapDialect()
    elif any(value.lower().startswith(b"389 project") for value in attributes.get("vendorname", ())):
        dialect = Directory389Dialect()
    else:
        return None, f"it is not known how the server at {session.url} answers syncrepl"
    if settings.anchor.lower() != dialect.anchor.lower():
        # That is what the messages name entries by: with another anchor a deletion could not be told.
        return None, f'syncrepl needs anchor = "{dialect.anchor}" here'
    return dialect, ""
