"""The contract between the agent and a connector.

A connector reads one source and says honestly how much of it it saw. A read is a stream:

    ReadStarted(extent=FULL)  EntryFound(...)  EntryFound(...)  ...  ReadEnded(COMPLETE, checkpoint=...)

or, when the connector can tell what changed since the checkpoint:

    ReadStarted(extent=INCREMENTAL)  EntryFound(...)  EntryDeleted(...)  EntriesListed(...)  ReadEnded(COMPLETE, ...)

A stream that stops without its ReadEnded is taken as FAILED, so a connector that dies in the middle can never
pass for one that saw everything. That an entry is gone is proved by an `EntryDeleted`, or by a COMPLETE stream that
mentions every entry there is and not this one: a FULL one, or one whose end says `lists_all`.

A connector that finds in the middle that its checkpoint does not serve begins again with `ReadStarted(FULL)`; what it
brought before still counts.

A third-party connector is a class with the shape of `Connector`, registered under the entry-point group
`rollcall.connectors`. This file, `connectors.errors` and `connectors.distinguished_name` are all it needs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel


class EntryKind(StrEnum):
    """What an entry is, whatever the directory calls it."""

    USER = "user"
    GROUP = "group"
    CONTACT = "contact"
    FOREIGN_PRINCIPAL = "foreign principal"


class NameKind(StrEnum):
    """How a group names a member, and how an entry is named by others."""

    DN = "dn"  # a normalised distinguished name, unique across all sources
    UID = "uid"  # posixGroup's memberUid (RFC 2307), unique within one source only
    GUID = "guid"  # Active Directory's objectGUID, unique everywhere and for ever
    SID = "sid"  # Active Directory's objectSid, by which another domain or forest names a member
    PRIMARY_GROUP = "primary group"  # the SID of a group: whoever has it as primary group shares this name
    FOREIGN_DN = "foreign dn"  # in a list, beside the GUID of a member in another domain: "GUID DN"; it names nobody


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """One name of an entry. `value` is already normalised: two names are the same when they are equal."""

    kind: NameKind
    value: str


@dataclass(frozen=True, slots=True)
class MemberList:
    """The members of one group, as the group itself lists them.

    `complete` is False when the list is known to have been cut short (a range without its end, a page lost):
    then what is listed counts, and what is not listed proves nothing.

    A PRIMARY_GROUP name in it stands for any number of people, or none, and a FOREIGN_DN for nobody at all.
    """

    names: frozenset[Name]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A user, group, contact or foreign principal as the source holds it.

    anchor:      the immutable identity (entryUUID, objectGUID …) in the source's own spelling, lower case
    dn:          as the source spells it, for people to read
    names:       every name by which a group may refer to this entry, the normalised DN always among them
    attributes:  lower-case attribute type to its values as text; binary values are left out
    active:      False when the directory says that the account is disabled
    members:     for groups only; None: this read brought no list, and the one known stays
    """

    anchor: str
    kind: EntryKind
    dn: str
    names: frozenset[Name]
    attributes: Mapping[str, tuple[str, ...]]
    active: bool = True
    members: MemberList | None = None


class Extent(StrEnum):
    """What a read set out to bring."""

    FULL = "full"
    INCREMENTAL = "incremental"


class Completeness(StrEnum):
    """What it really brought. PARTIAL and FAILED prove no absence."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a source has been read.

    `token` is the connector's own and opaque to the agent; it must hold everything that makes it valid (which
    directory, base, filter, attribute list).
    """

    token: str


@dataclass(frozen=True, slots=True)
class ReadStarted:
    """The first event of a stream.

    server:  who answers, for the audit trail
    note:    how it is read, or why it is FULL although there was a checkpoint; for people
    """

    extent: Extent
    server: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class EntryFound:
    """An entry as it is now: new, changed or unchanged, the agent finds out which.

    second_hand:  somebody else's entry, that a member list of this source names, as a third party knows it (the global
                  catalogue). A source that reads it itself knows better. That it is not mentioned proves nothing
    """

    entry: Entry
    second_hand: bool = False


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The source said how the member list of a group it sent before has changed; the rest of the list stays."""

    anchor: str
    added: frozenset[Name]
    removed: frozenset[Name]


@dataclass(frozen=True, slots=True)
class EntryDeleted:
    """The source itself said that this entry is gone, or no longer concerns us.

    evidence:     for the audit trail
    exists:       it is there all the same, outside of base and filter: a group keeps its members, and they stay in the
                  groups that list it. Without this, and without `from_groups`, an increment in which a listed group is
                  said to be gone has to be made again in full
    from_groups:  the source has taken it out of every group of its own that listed it, without another word
    names:        with `from_groups`, by what names they may have listed it, as far as the source knows: it may be an
                  entry that was never sent, or whose names another source has taken. Tell of the deletion before
                  anything that was found out after it, or the read has to be made again in full
    second_hand:  it was found second-hand, if at all, and the third party knows it no longer: another one, or the same
                  later, may. So it is believed when it was said again a while after; at once with `exists`, which
                  here says that it is none of the entries to tell of
    """

    anchor: str
    evidence: str
    exists: bool = False
    from_groups: bool = False
    names: frozenset[Name] = frozenset()
    second_hand: bool = False


@dataclass(frozen=True, slots=True)
class EntriesListed:
    """The source said that these entries are there, and sent nothing more: they have not changed."""

    anchors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntryUnreadable:
    """One entry that could not be understood. It stays as the mirror knows it; the others go on.

    Nobody leaves a group of which this was said before its whole list has come; `MembersChanged` may go on telling
    who is new.
    """

    dn: str
    reason: str
    anchor: str | None = None


@dataclass(frozen=True, slots=True)
class ReadEnded:
    """The last event of a stream.

    reason:      why a read is PARTIAL or FAILED and what to do about it; of a COMPLETE one, what it could not find out
                 besides
    checkpoint:  after a COMPLETE read, from where the next one may go on; None: it has to be FULL. After a PARTIAL one,
                 which the agent always follows with a FULL one, what that has to know: which directory was read, and
                 how much it knew; None: the one before still tells. After a FAILED one, of no account
    lists_all:   an INCREMENTAL read mentioned every entry there is, as found, listed or unreadable
    position:    how far it came, for the audit trail: a cookie, a USN, a time; it is kept as it is, so no secrets
    """

    completeness: Completeness
    reason: str = ""
    checkpoint: Checkpoint | None = None
    lists_all: bool = False
    position: str = ""


ReadEvent = ReadStarted | EntryFound | MembersChanged | EntryDeleted | EntriesListed | EntryUnreadable | ReadEnded


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the agent needs from a source.

    attributes:  the attribute types its mapping uses, lower case
    full:        everything, even if the checkpoint would serve; it then only tells which directory was read before
    again:       anchors that could not be understood: an increment looks at them again, groups with their members, for
                 a right that was given back leaves no trace on the entry
    elsewhere:   members in other domains, by GUID with their DN, for an increment to look up second-hand: those that
                 nobody can name, and some of those that were found so
    """

    attributes: frozenset[str] = field(default_factory=frozenset)
    full: bool = False
    again: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `rollcall check`.

    remedy:  what to do; with `ok`, what could be better and may stay as it is. Empty when all is well.
    """

    subject: str
    ok: bool
    message: str
    remedy: str = ""


class Reach(StrEnum):
    """Where an entry lies, as seen from a source."""

    ELSEWHERE = "elsewhere"  # in another directory or domain, as far as the settings tell
    OUTSIDE = "outside"  # in its directory, but not where it is read
    WITHIN = "within"  # where it is read: but for filters and rights it would be found


class SourceSettings(BaseModel):
    """What every source has. A connector's own settings class derives from it."""

    model_config = {"extra": "forbid", "frozen": True}

    name: str
    connector: str

    @property
    def reads(self) -> tuple[str, ...]:
        """What is read, for whoever misses somebody: places, filters, classes; a line each."""
        return ()

    def reach(self, dn: str) -> Reach:
        """Tell where a normalised name lies. Of a source that reads no tree of names nothing is known."""
        del dn
        return Reach.ELSEWHERE

    @property
    def asks_second_hand(self) -> bool:
        """Whether it looks up members in other domains (`EntryFound.second_hand`)."""
        return False

    @property
    def other_domains(self) -> str:
        """How this source could also look up members in other domains: what to do, for people. Empty: it cannot."""
        return ""


class Connector(Protocol):
    """A class that reads one source. It is made once per cycle, used from one thread, and closed."""

    settings_type: ClassVar[type[SourceSettings]]

    def __init__(self, settings: SourceSettings) -> None:
        """Keep the settings; contact nothing yet."""

    def fingerprint(self, wanted: Wanted) -> str:
        """Return a text that changes whenever a setting changes what a read would bring (base, filter, attributes).

        A changed fingerprint makes the next read FULL and holds removals until it is COMPLETE. Servers' names
        and credentials are not part of it.
        """

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Yield the events of one read. Trouble ends the stream with PARTIAL or FAILED; it does not raise.

        `since` is the last checkpoint that was handed over with these settings; without one the read has to be FULL.
        If the read that did so, or any after it, was not COMPLETE, `wanted.full` is set.
        """

    def check(self) -> Iterator[Finding]:
        """Yield what works and what does not, for `rollcall check`. Does not raise."""

    def close(self) -> None:
        """Let go of connections. Never raises."""


@runtime_checkable
class Watching(Protocol):
    """What a connector can do besides whose source reports changes as they happen."""

    def watch(self, wanted: Wanted, since: Checkpoint | None, stop: threading.Event) -> Iterator[str]:
        """Yield a word on each change, or burst of changes, until `stop` is set.

        It only says that it is time for a cycle: the read finds out what changed. Begin with what changed after
        `since`. Raises SourceError when the source cannot be watched, or no longer.
        """


@runtime_checkable
class Exploring(Protocol):
    """What a connector can do besides that helps whoever sets it up. Where to read need not be known yet."""

    def bases(self) -> tuple[str, ...]:
        """Log on, and return the places that could be read, the likeliest first. Raises SourceError."""

    def certificate(self) -> str:
        """Return the SHA-256 fingerprint of what the server shows as its certificate, for somebody to compare.

        Nothing is told to a server whose certificate was not verified. Empty where there is none to be had.
        """
