"""How much of the domain a controller knows: at least what was read, or less.

Nothing at all may be taken from one that knows less: its groups would undo what is newer. There are two ways to come
upon one. Another controller answers, which has not received yet what the last one knew; each numbers the changes by
itself, so the numbers of two cannot be compared, but their vectors can (connectors/active_directory/replication.py).
Or the database was replaced by an older copy of itself: its number is lower, or soon is not, and then the entries
that had changed last bear witness (connectors/active_directory/witnesses.py).

That is kept whatever finds the changes: after a full read, and after one that was not complete, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from connectors.active_directory.entries import GUID
from connectors.active_directory.landmarks import Whereabouts, highest_number
from connectors.active_directory.replication import VECTOR, received
from connectors.active_directory.session import SHOW_RECYCLED, ActiveDirectorySession
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.active_directory.witnesses import NUMBER, Testimony, Witnesses, any_of
from connectors.errors import ReadInterrupted
from connectors.ldap.found import Found

CONTROLLER, KNOWN = "controller", "known"
_READ_AT, _WITNESSES = "read at", "witnesses"


class Knowledge(StrEnum):
    """What a controller is known to know."""

    ENOUGH = "enough"
    LESS = "less"
    UNPROVEN = "unproven"


class Standing:
    """Compares once, before a read, and tells after it with what the next one has to compare.

    past:  what `told` returned the last time; empty for a first read
    """

    def __init__(
        self,
        session: ActiveDirectorySession,
        settings: ActiveDirectorySettings,
        whereabouts: Whereabouts,
        past: Mapping[str, str],
    ) -> None:
        self._session = session
        self._replication_delay = timedelta(seconds=settings.replication_delay)
        self._whereabouts = whereabouts
        self._past = past
        self._observed = Witnesses()
        self._confirmed = Witnesses(past.get(_WITNESSES, "{}")) if self.same_database else Witnesses()
        self._anything_read = False

    @property
    def same_database(self) -> bool:
        """Whether the controller is that of the last read, with the database of then or a copy of it."""
        return self._past.get(CONTROLLER) == self._whereabouts.controller

    def observe(self, found: Found) -> None:
        """Look at an entry that is read."""
        self._anything_read = True
        self._observed.observe(found)

    def compare(self) -> Knowledge:
        """Compare the controller with what was known at the last read.

        The numbers of a controller that is gone for ever may include a last one of no interest to others. So what
        another has not received is waited for, for a time; and so is one that does not tell, by ReadInterrupted.
        """
        if not self._past:
            return Knowledge.ENOUGH
        if self.same_database:
            return self._compare_numbers(int(self._past[KNOWN]))
        until = datetime.fromisoformat(self._past[_READ_AT]) + self._replication_delay
        caught_up = self._caught_up()
        if caught_up or self._whereabouts.clock >= until:
            return Knowledge.ENOUGH
        if caught_up is False:
            return Knowledge.LESS
        raise ReadInterrupted(
            f"{self._session.url} is another domain controller than last time, or was restored, and does not show "
            f"(replUpToDateVector of {self._whereabouts.context}) whether it knows all that was read. From "
            f"{until:%Y-%m-%d %H:%M} UTC on (replication_delay) it is read in full; to read it at once, run rollcall "
            "sync --full. Nothing is removed."
        )

    def told(self) -> Mapping[str, str]:
        """Return what the next read has to know, after this one. Raises ReadInterrupted."""
        if self.same_database and not self._anything_read and self._whereabouts.usn == int(self._past[KNOWN]):
            return self._past
        known = self._whereabouts.usn
        if self._anything_read:
            # What changed while the read went on may be among what was read.
            known = max(known, highest_number(self._session))
        return {
            CONTROLLER: self._whereabouts.controller,
            KNOWN: str(known),
            _READ_AT: self._whereabouts.clock.isoformat(),
            _WITNESSES: str(self._confirmed.with_newer(self._observed)),
        }

    def _compare_numbers(self, known: int) -> Knowledge:
        if self._whereabouts.usn <= known:
            return Knowledge.LESS if self._whereabouts.usn < known else Knowledge.ENOUGH
        if not self._confirmed.anchors:
            return Knowledge.ENOUGH
        wanted = any_of(self._confirmed.anchors)
        search = self._session.search(self._whereabouts.context, wanted, [GUID, NUMBER], also=[SHOW_RECYCLED])
        testimony: Testimony = self._confirmed.heard(found for found in search if isinstance(found, Found))
        self._confirmed = testimony.confirmed
        if testimony.contradicted:
            return Knowledge.LESS
        return Knowledge.ENOUGH if testimony.unanimous else Knowledge.UNPROVEN

    def _caught_up(self) -> bool | None:
        """Tell whether another controller has received all that was known; None when it does not show that."""
        invocation = self._past[CONTROLLER].rpartition(" ")[2]
        context = self._whereabouts.context
        head = self._session.look_up(context, [VECTOR])
        vector = b"".join(head.attributes.get(VECTOR, ())) if head is not None else b""
        reached = received(vector, invocation)
        return None if reached is None else reached >= int(self._past[KNOWN])
