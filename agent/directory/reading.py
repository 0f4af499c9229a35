"""One read on its way into the mirror: what each event changes, and what may be concluded at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, insert, select, update

from agent.directory.marks import mark, mark_referrers
from agent.directory.members import (
    Exchange,
    change_members,
    replace_members,
    settle_exchanges,
    strike_everywhere,
    strike_from,
)
from agent.directory.names import (
    TakenOver,
    claim_names,
    forget_names,
    lists_from_before,
    names_of,
    purge_former_names,
    qualified,
)
from agent.directory.unreadable import (
    forget_unreadable,
    forget_unseen,
    remember_unreadable,
    sentences_about_unreadable,
    still_there,
)
from agent.state.database import batched
from agent.state.tables import entry, membership, source
from connectors.base import (
    Checkpoint,
    Completeness,
    EntriesListed,
    Entry,
    EntryDeleted,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    Extent,
    MemberList,
    MembersChanged,
    Name,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)

_BATCH = 500
_UNREADABLE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one read went.

    emptied:     it claims that a source which held people or groups now holds none
    again:       the next read has to be FULL, too
    needs_full:  why what it brought cannot be relied upon without a FULL read; empty: it can
    lists_all:   it mentioned every entry there is
    """

    source: str
    extent: Extent
    completeness: Completeness
    reason: str
    server: str
    note: str = ""
    seen: int = 0
    changed: int = 0
    gone: int = 0
    unreadable: tuple[str, ...] = ()
    emptied: bool = False
    needs_full: str = ""
    again: bool = False
    lists_all: bool = False

    @property
    def proves_absence(self) -> bool:
        """Only a COMPLETE read that mentions every entry says anything about what it does not mention."""
        return self.lists_all and self.completeness is Completeness.COMPLETE and not self.emptied

    @property
    def doubtful_increment(self) -> bool:
        """What changed did not come as it should; if that lasts, only a FULL read gets past it."""
        return self.extent is Extent.INCREMENTAL and self.completeness is Completeness.PARTIAL

    @property
    def reads_everything(self) -> bool:
        """FULL and COMPLETE: it brought the content of every entry, too."""
        return self.extent is Extent.FULL and self.proves_absence


class Reading:
    """Takes the events of one read. The caller owns the transaction, and rolls back a read that does not count."""

    def __init__(self, source_name: str) -> None:
        self.source = source_name
        self.number = 0
        self.checkpoint: Checkpoint | None = None
        self._seen = self._changed = self._gone = 0
        self._anonymous: list[str] = []  # sentences about unreadable entries without an anchor
        self._extent = Extent.INCREMENTAL
        self._started = False
        self._server = self._note = ""
        self._taken: list[TakenOver] = []
        self._exchanges: list[Exchange] = []
        self._unheard_of: set[str] = set()  # anchors the source lists and has not sent, in this read or before

    def forget(self, connection: Connection) -> None:
        """The read does not count: no entry remembers it, and it leads to no checkpoint."""
        self.number = _last_number(connection, self.source)
        self.checkpoint = None

    def take(self, connection: Connection, events: Iterable[ReadEvent]) -> SourceOutcome:
        """Apply every event, draw the conclusions, and return how it went."""
        self.number = _last_number(connection, self.source) + 1
        populated = _populated_kinds(connection, self.source)
        end = ReadEnded(
            Completeness.FAILED,
            f"source {self.source}: the connector stopped without saying that it had finished. "
            "Nothing was taken over; see the log, and report this to the connector's author.",
        )
        waiting: list[Entry] = []
        for event in events:
            if isinstance(event, EntryFound):
                self._seen += 1
                waiting.append(event.entry)
                if len(waiting) < _BATCH:
                    continue
            # The order of the events counts: an entry may be found, and deleted while the read goes on.
            self._apply(connection, waiting)
            waiting = []
            if isinstance(event, ReadEnded):
                end = event
                break
            self._note_event(connection, event)
        self.checkpoint = end.checkpoint
        outcome = SourceOutcome(
            source=self.source,
            extent=self._extent,
            completeness=end.completeness,
            reason=end.reason,
            server=self._server,
            note=self._note,
            lists_all=self._extent is Extent.FULL or end.lists_all,
        )
        outcome = self._conclude(connection, outcome, populated)
        unreadable = (*self._anonymous, *sentences_about_unreadable(connection, self.source))
        return replace(
            outcome,
            seen=self._seen,
            changed=self._changed,
            gone=self._gone,
            unreadable=unreadable[:_UNREADABLE_SHOWN],
        )

    def _note_event(self, connection: Connection, event: ReadEvent) -> None:
        match event:
            case ReadStarted(extent=extent, server=server, note=note):
                if extent is Extent.FULL and self._extent is Extent.INCREMENTAL and self._started:
                    # What was said before is no part of the complete picture: it vouches for nobody.
                    self.number += 1
                    self._taken, self._unheard_of = [], set()
                self._extent, self._server, self._note, self._started = extent, server, note, True
            case EntryDeleted():
                self._delete(connection, event)
            case MembersChanged():
                self._change_members(connection, event)
            case EntriesListed(anchors=anchors):
                for some in batched(anchors, _BATCH):
                    self._list(connection, some)
            case EntryUnreadable(dn=dn, reason=reason, anchor=anchor):
                if anchor is None:
                    self._anonymous.append(f"{dn}: {reason}")
                else:
                    remember_unreadable(connection, self.source, event, self.number)
                    self._mention(connection, [anchor])
                    self._unheard_of.discard(anchor)

    # --- entries found -------------------------------------------------------------------------------------------

    def _apply(self, connection: Connection, found: list[Entry]) -> None:
        if not found:
            return
        entries = {item.anchor: item for item in found}  # an entry met twice counts as met last
        forget_unreadable(connection, self.source, entries)
        self._unheard_of -= entries.keys()
        known = {
            row.anchor: row
            for row in connection.execute(
                select(entry.c.id, entry.c.anchor, entry.c.digest, entry.c.present, entry.c.kind).where(
                    entry.c.source == self.source, entry.c.anchor.in_(list(entries))
                )
            )
        }
        unchanged = [
            known[anchor].id
            for anchor, item in entries.items()
            if anchor in known and known[anchor].present and known[anchor].digest == digest_of(item)
        ]
        if unchanged:
            connection.execute(
                update(entry).where(entry.c.id.in_(unchanged)).values(last_seen=self.number, content_read=self.number)
            )
        untouched = set(unchanged)
        self._insert(connection, [item for anchor, item in entries.items() if anchor not in known])
        for anchor, item in entries.items():
            if anchor in known and known[anchor].id not in untouched:
                self._change(connection, known[anchor].id, item, revived=not known[anchor].present)

    def _insert(self, connection: Connection, new: list[Entry]) -> None:
        if not new:
            return
        rows = [
            {
                "source": self.source,
                "anchor": item.anchor,
                "gone_evidence": None,
                "members_complete": False,
                **self._row(item),
            }
            for item in new
        ]
        # Written in one go and looked up after: a statement that returns the numbers is run once for each entry.
        connection.execute(insert(entry), rows)
        found = select(entry.c.anchor, entry.c.id).where(
            entry.c.source == self.source, entry.c.anchor.in_([item.anchor for item in new])
        )
        number_of = {row.anchor: row.id for row in connection.execute(found)}
        numbers = [number_of[item.anchor] for item in new]
        _, taken = claim_names(
            connection,
            [
                (number, qualified(name, self.source))
                for number, item in zip(numbers, new, strict=True)
                for name in item.names
            ],
        )
        self._taken += taken
        self._unheard_of.update(item.anchor for item in new if _brings_no_list(item))
        members = [
            {"group_id": number, "kind": name.kind.value, "value": name.value}
            for number, item in zip(numbers, new, strict=True)
            if item.members is not None
            for name in (qualified(member, self.source) for member in item.members.names)
        ]
        if members:
            connection.execute(insert(membership), members)
        mark(connection, numbers, references_too=True)
        self._changed += len(new)

    def _change(self, connection: Connection, number: int, item: Entry, *, revived: bool) -> None:
        before = connection.execute(select(entry.c.kind).where(entry.c.id == number)).scalar()
        connection.execute(update(entry).where(entry.c.id == number).values(gone_evidence=None, **self._row(item)))
        renamed, taken = claim_names(
            connection, [(number, qualified(name, self.source)) for name in item.names], forget_as_of=self.number
        )
        self._taken += taken
        if _brings_no_list(item):
            if revived:
                self._unheard_of.add(item.anchor)
        elif exchange := replace_members(connection, number, self._qualified(item.members)):
            self._exchanges.append(exchange)
        mark(connection, [number], references_too=renamed or revived or before != item.kind.value)
        self._changed += 1

    def _row(self, item: Entry) -> dict[str, object]:
        return {
            "kind": item.kind.value,
            "dn": item.dn,
            "active": item.active,
            "attributes": json.dumps({key: list(item.attributes[key]) for key in sorted(item.attributes)}),
            "present": True,
            "last_seen": self.number,
            "content_read": self.number,
            **_state_of_list(item),
        }

    def _qualified(self, members: MemberList | None) -> MemberList | None:
        if members is None:
            return None
        return replace(members, names=frozenset(qualified(name, self.source) for name in members.names))

    def _change_members(self, connection: Connection, event: MembersChanged) -> None:
        number = self._number(connection, event.anchor)
        if number is None:
            self._unheard_of.add(event.anchor)
            return
        change_members(
            connection,
            number,
            [qualified(name, self.source) for name in event.added],
            [qualified(name, self.source) for name in event.removed],
        )
        # No digest: what the list is now is known from the parts of it, and the next read of the whole compares.
        connection.execute(update(entry).where(entry.c.id == number).values(digest="", last_seen=self.number))
        mark(connection, [number], references_too=True)
        self._changed += 1

    def _number(self, connection: Connection, anchor: str) -> int | None:
        return connection.execute(
            select(entry.c.id).where(entry.c.source == self.source, entry.c.anchor == anchor, entry.c.present)
        ).scalar()

    # --- entries listed, and entries gone ------------------------------------------------------------------------

    def _list(self, connection: Connection, anchors: list[str]) -> None:
        known = self._mention(connection, anchors)
        if len(known) < len(set(anchors)):
            known |= still_there(connection, self.source, anchors, self.number)
        self._unheard_of.update(anchor for anchor in anchors if anchor not in known)

    def _mention(self, connection: Connection, anchors: list[str]) -> set[str]:
        """Note that these were seen, and return those that the mirror has."""
        these = entry.c.source == self.source, entry.c.anchor.in_(anchors), entry.c.present
        known = set(connection.execute(select(entry.c.anchor).where(*these)).scalars())
        if known:
            connection.execute(update(entry).where(*these).values(last_seen=self.number))
        return known

    def _delete(self, connection: Connection, event: EntryDeleted) -> None:
        forget_unreadable(connection, self.source, [event.anchor])
        number = self._number(connection, event.anchor)
        if number is not None:
            self._lose(connection, [number], event.evidence)
            # The source itself said so: a group that still lists it is out of date, and nothing of it is kept.
            connection.execute(delete(membership).where(membership.c.group_id == number))
            if event.from_groups:
                # It may come back under the same names, and then it is in none of these groups.
                strike_everywhere(connection, names_of(connection, [number]))

    def _lose(self, connection: Connection, numbers: list[int], evidence: str) -> None:
        mark(connection, numbers, references_too=True)
        mark_referrers(connection, numbers)
        forget_names(connection, numbers, self.number)
        connection.execute(update(entry).where(entry.c.id.in_(numbers)).values(present=False, gone_evidence=evidence))
        self._gone += len(numbers)

    # --- the end of the read -------------------------------------------------------------------------------------

    def _conclude(self, connection: Connection, outcome: SourceOutcome, populated: set[EntryKind]) -> SourceOutcome:
        if outcome.completeness is Completeness.FAILED:
            return outcome
        if outcome.extent is Extent.INCREMENTAL and (reason := self._doubt(connection, populated)):
            return replace(outcome, needs_full=reason)
        if outcome.proves_absence:
            outcome = self._conclude_absences(connection, outcome)
            if outcome.reads_everything:
                purge_former_names(connection, self.source, self.number)
        in_doubt = settle_exchanges(connection, self._exchanges)
        if in_doubt and outcome.extent is Extent.INCREMENTAL:
            return replace(outcome, needs_full="a group lists somebody new who was not found")
        if in_doubt:
            for some in batched(in_doubt, _BATCH):
                # What they lost stays until another read of everything tells whose the new names are.
                connection.execute(update(entry).where(entry.c.id.in_(some)).values(members_complete=False, digest=""))
            outcome = replace(outcome, again=True)
        self._strike_out_of_date(connection)
        return outcome

    def _doubt(self, connection: Connection, populated: set[EntryKind]) -> str:
        """Say why an incremental read does not suffice, or return an empty text."""
        if self._unheard_of:
            return f"the source lists an entry it never sent ({min(self._unheard_of)})"
        for item in self._taken:
            previous = connection.execute(
                select(entry.c.dn).where(
                    entry.c.id == item.previous, entry.c.present, entry.c.content_read < self.number
                )
            ).scalar()
            if item.held and previous is not None:
                return f"the name {previous} belongs to another entry now, and the source did not say why"
        if old := lists_from_before(connection, self._taken, self.number):
            return (
                f"the name {old[0][1].value} belongs to another entry now, and a group that lists it may have changed"
            )
        lost = populated - _populated_kinds(connection, self.source)
        return f"it held {_plural(lost.pop())} and now shows none" if lost else ""

    def _strike_out_of_date(self, connection: Connection) -> None:
        """Take names that have a new owner out of the lists that could not be read again; what is left is not whole."""
        for group_id, name in lists_from_before(connection, self._taken, self.number):
            strike_from(connection, group_id, name)
            # No digest: the next time the list comes it is taken in, whatever it holds.
            connection.execute(update(entry).where(entry.c.id == group_id).values(members_complete=False, digest=""))
            mark(connection, [group_id], references_too=True)

    def _conclude_absences(self, connection: Connection, outcome: SourceOutcome) -> SourceOutcome:
        missing = entry.c.source == self.source, entry.c.present, entry.c.last_seen < self.number
        for kind in (EntryKind.USER, EntryKind.GROUP):
            held = _count(connection, entry.c.source == self.source, entry.c.present, entry.c.kind == kind.value)
            if held and held == _count(connection, *missing, entry.c.kind == kind.value):
                return replace(
                    outcome,
                    emptied=True,
                    reason=f"source {self.source}: it held {held} {_plural(kind)} and now shows none. That is hardly "
                    "meant: check the base, the filter and the rights of the account. Nothing is removed.",
                )
        numbers = list(connection.execute(select(entry.c.id).where(*missing)).scalars())
        evidence = f"absent from the complete read {self.number} of source {self.source} ({self._server})"
        for some in batched(numbers, _BATCH):
            self._lose(connection, some, evidence)
        forget_unseen(connection, self.source, self.number)
        return outcome


def _brings_no_list(item: Entry) -> bool:
    """Tell whether a group came without its members, because only something else of it changed."""
    return item.kind is EntryKind.GROUP and item.members is None


def _state_of_list(item: Entry) -> dict[str, object]:
    """Return the columns that describe an entry with its list.

    Without a digest the next read of the whole is taken in, whatever it brings.
    """
    if _brings_no_list(item):
        return {"digest": ""}
    return {"members_complete": item.members is None or item.members.complete, "digest": digest_of(item)}


def digest_of(item: Entry) -> str:
    """Return what changes exactly when anything the agent uses of an entry changes."""
    members = None if item.members is None else [item.members.complete, _sorted(item.members.names)]
    content = (
        item.kind.value,
        item.dn,
        item.active,
        _sorted(item.names),
        sorted((key, values) for key, values in item.attributes.items()),
        members,
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _sorted(names: Iterable[Name]) -> list[tuple[str, str]]:
    return sorted((name.kind.value, name.value) for name in names)


def _last_number(connection: Connection, source_name: str) -> int:
    return connection.execute(select(source.c.read_number).where(source.c.name == source_name)).scalar() or 0


def _populated_kinds(connection: Connection, source_name: str) -> set[EntryKind]:
    return {
        kind
        for kind in (EntryKind.USER, EntryKind.GROUP)
        if connection.execute(
            select(entry.c.id)
            .where(entry.c.source == source_name, entry.c.present, entry.c.kind == kind.value)
            .limit(1)
        ).first()
    }


def _plural(kind: EntryKind) -> str:
    return "people" if kind is EntryKind.USER else "groups"


def _count(connection: Connection, *conditions: object) -> int:
    statement = select(func.count()).select_from(entry).where(*conditions)  # type: ignore[arg-type]
    return connection.execute(statement).scalar_one()
