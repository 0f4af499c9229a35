"""How 389 Directory Server (FreeIPA, Red Hat Directory Server) answers a content synchronisation.

* Every answer says refreshDeletes FALSE and comes without a list of what is there: taken by the letter of RFC 4533 it
  would mean that everything not mentioned is gone. Nothing is concluded from absence here.
* Entries are named by nsUniqueId. What is deleted comes in sets of up to 50 of them, and between a full set and the
  next one a deletion gets lost (2.3.1, sync_refresh.c). So a full set leads to a full read.
* Increments bring all user attributes and no operational one, whatever was asked for; so they are taken as a notice,
  and the entries are read afterwards.
* An entry that leaves the filter is not told. So everything below the base is asked for, and what is wanted of it
  is found out by reading it.
* A cookie is bound to the server's name and port, the account, base and filter, and ends with a change number. One
  that does not fit, or is newer than the server, is answered with e-syncRefreshRequired. But one that is older than
  what the retro changelog still holds is answered with success, and so is one from before a restore, or from before
  the plug-ins were off for a while. The root DSE tells: firstchangenumber, and dataversion, which is another after
  every start of the server.
* A retro changelog that does not record nsuniqueid:targetUniqueId, which is how it comes, answers every increment
  with success and nothing. So an increment without content counts only after one with content.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.base import ReadEvent
from connectors.errors import CheckpointRefused
from connectors.ldap.content_synchronisation import IdSet, State, SyncDone
from connectors.ldap.interpretation import Interpretation
from connectors.ldap.landmarks import Landmarks
from connectors.ldap.session import Session, Synchronised
from connectors.ldap.syncrepl import Answered, ToLookFor, first_cookie

_EVERYTHING = "(objectClass=*)"
_DIGITS = 8
_FULL_SET = 50
_DATA_VERSION, _FIRST, _LAST = "dataversion", "firstchangenumber", "lastchangenumber"


@dataclass(frozen=True, slots=True)
class _Position:
    """A cookie, the start of the server it comes from, and whether an increment has ever had content."""

    data_version: str
    proven: bool
    cookie: str

    @property
    def number(self) -> int:
        """The change number at the end of the cookie."""
        digits = self.cookie.rpartition("#")[2]
        return int(digits) if digits.isdecimal() else 0

    def __str__(self) -> str:
        return f"{self.data_version}|{'proven' if self.proven else 'unproven'}|{self.cookie}"


class Directory389Dialect:
    """Increments are notices."""

    name = "389 Directory Server"
    anchor = "nsUniqueId"
    shown = ""

    def search_filter(self, wanted: str) -> str:
        """Ask for everything: leaving the filter is not told."""
        del wanted
        return _EVERYTHING

    def begin(self, session: Session, base: str, search_filter: str) -> str:
        """Note which start of the server the cookie belongs to."""
        root = _root(session)
        return str(
            _Position(_text(root, _DATA_VERSION), proven=False, cookie=first_cookie(session, base, search_filter))
        )

    def cookie_of(self, position: str) -> bytes:
        """The cookie is the last part."""
        return _read(position).cookie.encode("utf-8", "surrogateescape")

    def behind(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """The root DSE shows the number of the last change."""
        del base, landmarks
        return _knows_less(_root(session), _read(position))

    def nothing_new(self, session: Session, position: str, base: str, landmarks: Landmarks) -> bool:
        """The root DSE shows the number of the last change."""
        del base, landmarks
        root, past = _root(session), _read(position)
        if _knows_less(root, past):
            raise CheckpointRefused(f"{session.url} counts fewer changes than were read", behind=True)
        if _text(root, _DATA_VERSION) != past.data_version:
            raise CheckpointRefused(f"{session.url} was started anew, perhaps with other content")
        return _text(root, _LAST) == str(past.number)

    def read(
        self,
        session: Session,
        interpretation: Interpretation,
        base: str,
        search_filter: str,
        position: str,
        to_look_for: ToLookFor,
    ) -> Generator[ReadEvent, None, Answered]:
        """Note what has to be looked for; the answer itself brings nothing that could be used."""
        del interpretation
        yield from ()
        past = _read(position)
        reached: bytes | None = None
        content = cut = False
        for message in session.synchronise(base, search_filter, ["1.1"], self.cookie_of(position)):
            match message:
                case Synchronised(state=state):
                    content = True
                    wanted = to_look_for.deleted if state.state is State.DELETE else to_look_for.changed
                    wanted[_anchor(state.uuid)] = None
                case IdSet(uuids=uuids, deleted=True):
                    content = True
                    cut = cut or len(uuids) >= _FULL_SET
                    to_look_for.deleted.update(dict.fromkeys(_anchor(identity) for identity in uuids))
                case SyncDone(cookie=reached):
                    pass
                case _:
                    pass
        if not reached:
            raise CheckpointRefused(f"{session.url} sent no new cookie")
        if cut:
            raise CheckpointRefused(f"so much was deleted that {session.url} may have left some of it out")
        now = replace(past, proven=past.proven or content, cookie=reached.decode("utf-8", "surrogateescape"))
        if now.number != past.number and not now.proven:
            raise CheckpointRefused(
                f"{session.url} counts changes and tells none of them, as without nsuniqueid:targetUniqueId in the "
                "nsslapd-attribute of its Retro Changelog Plugin"
            )
        # Afterwards, because the changelog may be trimmed at any time.
        first = _text(_root(session), _FIRST)
        if not first.isdecimal() or past.number + 1 < int(first):
            raise CheckpointRefused(f"the retro changelog of {session.url} no longer goes back to the last read")
        return Answered(str(now))


def _root(session: Session) -> Mapping[str, Sequence[bytes]]:
    root = session.look_up("", [_DATA_VERSION, _FIRST, _LAST])
    return root.attributes if root is not None else {}


def _knows_less(root: Mapping[str, Sequence[bytes]], past: _Position) -> bool:
    last = _text(root, _LAST)  # 0 also while no changelog is kept
    return last.isdecimal() and 0 < int(last) < past.number


def _text(attributes: Mapping[str, Sequence[bytes]], name: str) -> str:
    return b"".join(attributes.get(name, ())).decode("ascii", "replace")


def _read(position: str) -> _Position:
    data_version, _, rest = position.partition("|")
    proven, _, cookie = rest.partition("|")
    return _Position(data_version, proven == "proven", cookie)


def _anchor(identity: bytes) -> str:
    """Spell it as nsUniqueId does: four groups of eight digits."""
    digits = identity.hex()
    return "-".join(digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS))
