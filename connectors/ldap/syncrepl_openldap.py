"""How OpenLDAP (slapo-syncprov(5)) answers a content synchronisation.

* Nothing changed: no entry and no cookie; the old cookie stays good.
* With a session log, or the access log, in reach: each changed entry as "add", then the UUIDs of what is gone, also
  of changed entries that this base or filter never found. refreshDeletes is TRUE.
* Without one: the UUIDs of all unchanged entries, then the changed ones; what is not mentioned is gone.
  refreshDeletes is FALSE.
* The cookie is too old: every entry as "add", refreshDeletes FALSE.
* The cookie makes no sense: every entry, refreshDeletes TRUE, and an empty cookie.
* The cookie knows of changes the server does not know: unwillingToPerform.
* The account may not read entryCSN of some entries: when these change they are left out without a word, and the cookie
  goes on all the same, because the server looks for them by a filter over that attribute.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterator

from connectors.base import EntriesListed, ReadEvent
from connectors.errors import CheckpointRefused, ReadInterrupted
from connectors.ldap.content_synchronisation import IdSet, PhaseEnded, State, SyncDone, SyncState
from connectors.ldap.found import ContinuationReference, Found
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.session import Session, Synchronised, SyncMessage
from connectors.ldap.syncrepl import Answered, ToLookFor, first_cookie, hidden

_ENTRY_CSN = "entryCSN"
_NOBODY = "(!(objectClass=*))"
_CSN = re.compile(r"csn=([^,]*)")


class OpenLdapDialect:
    """Increments bring whole entries, with what was asked for."""

    name = "OpenLDAP"
    anchor = "entryUUID"
    shown = _ENTRY_CSN

    def search_filter(self, wanted: str) -> str:
        """Increments tell of entries that leave the filter, so it can be the one that is wanted."""
        return wanted

    def begin(self, session: Session, base: str, search_filter: str) -> str:
        """The position is the cookie."""
        found = session.look_up(base, [_ENTRY_CSN])
        if found is not None and not found.attributes.get(_ENTRY_CSN.lower()):
            raise ReadInterrupted(hidden(self, base))
        return first_cookie(session, base, search_filter)

    def cookie_of(self, position: str) -> bytes:
        """The position is the cookie."""
        return position.encode("utf-8", "surrogateescape")

    def nothing_new(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """The suffix entry shows contextCSN, and a cookie is made of nothing else."""
        del session
        known = _csns(position)
        if known and known == landmarks.context_csns[base]:
            return True
        if base in landmarks.without_csn:
            raise CheckpointRefused(hidden(self, base))
        return False

    def behind(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """Compare the newest change of each server (the SID within the CSN) that this one knows with the cookie's."""
        known = {_sid(csn): csn for csn in _csns(position)}
        shown = landmarks.context_csns[base]
        if shown:
            return any(csn < known.get(_sid(csn), b"") for csn in shown)
        # Only the suffix entry shows them, and the base is none. The server knows, if it is asked.
        try:
            for _ in session.synchronise(base, _NOBODY, ["1.1"], self.cookie_of(position), base_only=True):
                pass
        except CheckpointRefused as refused:
            return refused.behind
        return False

    def read(
        self,
        session: Session,
        interpretation: Interpretation,
        base: str,
        search_filter: str,
        position: str,
        to_look_for: ToLookFor,
    ) -> Generator[ReadEvent, None, Answered]:
        """Yield what the answer means."""
        answer = _Answer(interpretation, base, to_look_for)
        done: SyncDone | None = None
        for message in session.synchronise(base, search_filter, interpretation.attributes, self.cookie_of(position)):
            if isinstance(message, SyncDone):
                done = message
            else:
                yield from answer.events(message)
        if done is None or done.cookie == b"":
            raise CheckpointRefused(f"{session.url} did not understand the cookie")
        if answer.contradiction:
            raise CheckpointRefused(answer.contradiction)
        if done.cookie is None and (answer.deletes or answer.mentions):
            raise CheckpointRefused(f"{session.url} sent changes and no new cookie")
        if answer.deletes and not done.refresh_deletes:
            raise CheckpointRefused(f"{session.url} sent a list of what is there and of what is gone, both at once")
        if done.cookie is not None and not done.refresh_deletes and not answer.mentions:
            # A list of what is there, and nothing is on it. That is told by reading.
            raise CheckpointRefused(f"{session.url} lists nobody any more below {base}")
        reached = position if done.cookie is None else done.cookie.decode("utf-8", "surrogateescape")
        return Answered(reached, lists_all=answer.mentions and not done.refresh_deletes)


class _Answer:
    """One answer while it comes.

    deletes:   it reports deletions
    mentions:  it mentions entries that are there
    contradiction: why it cannot be believed; empty: it can
    """

    def __init__(self, interpretation: Interpretation, base: str, to_look_for: ToLookFor) -> None:
        self.deletes = self.mentions = False
        self.contradiction = ""
        self._interpretation = interpretation
        self._base = base
        self._to_look_for = to_look_for

    def events(self, message: SyncMessage | None) -> Iterator[ReadEvent]:
        """Yield what one message means."""
        match message:
            case Synchronised(state=SyncState(state=State.DELETE, uuid=identity)):
                self._delete(identity)
            case Synchronised(state=state, found=found):
                self.mentions = True
                yield from self._entry(state, found)
            case IdSet(uuids=uuids, deleted=True):
                for identity in uuids:
                    self._delete(identity)
            case IdSet(uuids=uuids):
                self.mentions = self.mentions or bool(uuids)
                yield EntriesListed(tuple(_anchor(identity) for identity in uuids))
            case PhaseEnded(deletes=deletes):
                self.deletes = self.deletes or deletes
            case ContinuationReference():
                self._interpretation.refer(message, self._base)
            case _:
                pass

    def _entry(self, state: SyncState, found: Found) -> Iterator[ReadEvent]:
        anchor = _anchor(state.uuid)
        if state.state is State.PRESENT:
            yield EntriesListed((anchor,))
            return
        event = self._interpretation.event(found)
        if self._interpretation.anchor_of(event) in {anchor, None}:
            yield event
        else:
            self.contradiction = f"{found.dn} was sent under the identity of another entry"

    def _delete(self, identity: bytes) -> None:
        self.deletes = True
        self._to_look_for.deleted[_anchor(identity)] = None


def _csns(cookie: str) -> frozenset[bytes]:
    """Take the CSNs out of a cookie: time#count#sid#modification, of one length, so that they compare as text."""
    found = _CSN.search(cookie)
    return frozenset(found[1].encode().split(b";")) if found else frozenset()


def _sid(csn: bytes) -> bytes:
    return csn.split(b"#")[2] if csn.count(b"#") > 1 else b""


def _anchor(identity: bytes) -> str:
    return str(uuid.UUID(bytes=identity))
