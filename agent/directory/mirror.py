"""Taking a connector's read into the mirror.

One read is one transaction, checkpoint included, so a checkpoint can never be ahead of the data it describes.
Whatever a read changes is marked; planning follows the marks, not the size of the directory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from agent.directory.marks import mark, mark_referrers
from agent.directory.names import claim_names, forget_names, purge_former_names, qualified
from agent.state.database import State, batched, upsert
from agent.state.tables import entry, membership, source
from connectors.base import (
    Checkpoint,
    Completeness,
    Entry,
    EntryDeleted,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    Extent,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)

_BATCH = 500
_UNREADABLE_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one read went. `emptied`: it claims that a source which held people or groups now holds none."""

    source: str
    extent: Extent
    completeness: Completeness
    reason: str
    server: str
    seen: int = 0
    changed: int = 0
    gone: int = 0
    unreadable: tuple[str, ...] = ()
    emptied: bool = False

    @property
    def proves_absence(self) -> bool:
        """Only a FULL and COMPLETE read says anything about what it does not mention."""
        return self.extent is Extent.FULL and self.completeness is Completeness.COMPLETE and not self.emptied


def checkpoint_of(state: State, source_name: str, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of a source, or None when it was made with other settings."""
    with state.read() as connection:
        row = connection.execute(
            select(source.c.checkpoint, source.c.fingerprint).where(source.c.name == source_name)
        ).first()
    if row is None or row.checkpoint is None or row.fingerprint != fingerprint:
        return None
    return Checkpoint(row.checkpoint)


def absorb(state: State, source_name: str, events: Iterable[ReadEvent], fingerprint: str) -> SourceOutcome:
    """Take one read into the mirror and return how it went.

    A PARTIAL read adds and changes, and removes nothing. A FAILED one, or a stream that stops without its end,
    changes nothing at all.
    """
    reading = _Reading(source_name)
    with state.write() as connection:
        attempt = connection.begin_nested()
        outcome = reading.take(connection, events)
        if outcome.completeness is Completeness.FAILED:
            attempt.rollback()
            reading.forget(connection)
        else:
            attempt.commit()
        _record(connection, outcome, reading, fingerprint)
    return outcome


def _record(connection: Connection, outcome: SourceOutcome, reading: _Reading, fingerprint: str) -> None:
    now = datetime.now(UTC)
    row: dict[str, object] = {
        "name": outcome.source,
        "read_number": reading.number,
        "server": outcome.server,
        "last_read_at": now,
        "completeness": outcome.completeness.value,
        "reason": outcome.reason,
        "unreadable": len(outcome.unreadable),
    }
    if outcome.completeness is Completeness.COMPLETE:
        row |= {
            "checkpoint": reading.checkpoint.token if reading.checkpoint else None,
            "fingerprint": fingerprint,
        }
    if outcome.proves_absence:
        row["last_complete_at"] = now
    upsert(connection, source, [row])


def _last_number(connection: Connection, source_name: str) -> int:
    return connection.execute(select(source.c.read_number).where(source.c.name == source_name)).scalar() or 0


class _Reading:
    """One read on its way into the mirror."""

    def __init__(self, source_name: str) -> None:
        self.source = source_name
        self.number = 0
        self.checkpoint: Checkpoint | None = None
        self._seen = self._changed = self._gone = 0
        self._unreadable: list[str] = []
        self._extent = Extent.INCREMENTAL
        self._server = ""

    def forget(self, connection: Connection) -> None:
        """A FAILED read does not count: no entry remembers it, and it leads to no checkpoint."""
        self.number = _last_number(connection, self.source)
        self.checkpoint = None

    def take(self, connection: Connection, events: Iterable[ReadEvent]) -> SourceOutcome:
        self.number = _last_number(connection, self.source) + 1
        end = ReadEnded(
            Completeness.FAILED,
            f"source {self.source}: the connector stopped without saying that it had finished. "
            "Nothing was taken over; see the log, and report this to the connector's author.",
        )
        for batch in batched(self._entries_until_end(connection, events), _BATCH):
            end = next((item for item in batch if isinstance(item, ReadEnded)), end)
            self._apply(connection, [item for item in batch if isinstance(item, Entry)])
        self.checkpoint = end.checkpoint
        outcome = SourceOutcome(
            source=self.source,
            extent=self._extent,
            completeness=end.completeness,
            reason=end.reason,
            server=self._server,
        )
        if outcome.proves_absence:
            outcome = self._conclude_absences(connection, outcome)
        return replace(
            outcome,
            seen=self._seen,
            changed=self._changed,
            gone=self._gone,
            unreadable=tuple(self._unreadable[:_UNREADABLE_SHOWN]),
        )

    def _entries_until_end(self, connection: Connection, events: Iterable[ReadEvent]) -> Iterator[Entry | ReadEnded]:
        for event in events:
            match event:
                case ReadStarted(extent=extent, server=server):
                    self._extent, self._server = extent, server
                case EntryFound(entry=found):
                    self._seen += 1
                    yield found
                case EntryDeleted(anchor=anchor, evidence=evidence):
                    self._delete(connection, anchor, evidence)
                case EntryUnreadable(dn=dn, reason=reason, anchor=anchor):
                    self._unreadable.append(f"{dn}: {reason}")
                    if anchor is not None:
                        self._keep(connection, anchor)
                case ReadEnded():
                    yield event
                    return

    def _apply(self, connection: Connection, found: list[Entry]) -> None:
        entries = {item.anchor: item for item in found}  # an entry met twice counts as met last
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
            connection.execute(update(entry).where(entry.c.id.in_(unchanged)).values(last_seen=self.number))
        untouched = set(unchanged)
        self._insert(connection, [item for anchor, item in entries.items() if anchor not in known])
        for anchor, item in entries.items():
            if anchor in known and known[anchor].id not in untouched:
                self._change(connection, known[anchor].id, item, revived=not known[anchor].present)

    def _insert(self, connection: Connection, new: list[Entry]) -> None:
        if not new:
            return
        rows = [
            {"source": self.source, "anchor": item.anchor, "gone_evidence": None, **self._row(item)} for item in new
        ]
        statement = insert(entry).returning(entry.c.id, sort_by_parameter_order=True)
        numbers = list(connection.execute(statement, rows).scalars())
        claim_names(
            connection,
            [
                (number, qualified(name, self.source))
                for number, item in zip(numbers, new, strict=True)
                for name in item.names
            ],
        )
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
        renamed = claim_names(
            connection, [(number, qualified(name, self.source)) for name in item.names], forget_as_of=self.number
        )
        self._set_members(connection, number, item)
        mark(connection, [number], references_too=renamed or revived or before != item.kind.value)
        self._changed += 1

    def _set_members(self, connection: Connection, number: int, item: Entry) -> None:
        listed = set() if item.members is None else {qualified(m, self.source) for m in item.members.names}
        held = {
            (row.kind, row.value)
            for row in connection.execute(
                select(membership.c.kind, membership.c.value).where(membership.c.group_id == number)
            )
        }
        wanted = {(name.kind.value, name.value) for name in listed}
        new = [{"group_id": number, "kind": kind, "value": value} for kind, value in sorted(wanted - held)]
        if new:
            connection.execute(insert(membership), new)
        if item.members is not None and not item.members.complete:
            return  # a list that was cut short proves no absence
        for kind, value in sorted(held - wanted):
            connection.execute(
                delete(membership).where(
                    membership.c.group_id == number, membership.c.kind == kind, membership.c.value == value
                )
            )

    def _row(self, item: Entry) -> dict[str, object]:
        return {
            "kind": item.kind.value,
            "dn": item.dn,
            "active": item.active,
            "attributes": json.dumps({key: list(item.attributes[key]) for key in sorted(item.attributes)}),
            "members_complete": item.members is None or item.members.complete,
            "digest": digest_of(item),
            "present": True,
            "last_seen": self.number,
        }

    def _keep(self, connection: Connection, anchor: str) -> None:
        connection.execute(
            update(entry).where(entry.c.source == self.source, entry.c.anchor == anchor).values(last_seen=self.number)
        )

    def _delete(self, connection: Connection, anchor: str, evidence: str) -> None:
        number = connection.execute(
            select(entry.c.id).where(entry.c.source == self.source, entry.c.anchor == anchor, entry.c.present)
        ).scalar()
        if number is not None:
            self._lose(connection, [number], evidence)
            # The source itself said so: a group that still lists it is out of date, and nothing of it is kept.
            connection.execute(delete(membership).where(membership.c.group_id == number))

    def _conclude_absences(self, connection: Connection, outcome: SourceOutcome) -> SourceOutcome:
        missing = entry.c.source == self.source, entry.c.present, entry.c.last_seen < self.number
        for kind, plural in ((EntryKind.USER, "people"), (EntryKind.GROUP, "groups")):
            held = _count(connection, entry.c.source == self.source, entry.c.present, entry.c.kind == kind.value)
            if held and held == _count(connection, *missing, entry.c.kind == kind.value):
                return replace(
                    outcome,
                    emptied=True,
                    reason=f"source {self.source}: it held {held} {plural} and now shows none. That is hardly meant: "
                    "check the base, the filter and the rights of the account. Nothing is removed.",
                )
        numbers = list(connection.execute(select(entry.c.id).where(*missing)).scalars())
        evidence = f"absent from the complete read {self.number} of source {self.source} ({self._server})"
        for some in batched(numbers, _BATCH):
            self._lose(connection, some, evidence)
        purge_former_names(connection, self.source, self.number)
        return outcome

    def _lose(self, connection: Connection, numbers: list[int], evidence: str) -> None:
        mark(connection, numbers, references_too=True)
        mark_referrers(connection, numbers)
        forget_names(connection, numbers, self.number)
        connection.execute(update(entry).where(entry.c.id.in_(numbers)).values(present=False, gone_evidence=evidence))
        self._gone += len(numbers)


def digest_of(item: Entry) -> str:
    """Return what changes exactly when anything the agent uses of an entry changes."""
    members = None if item.members is None else [item.members.complete, sorted(item.members.names)]
    content = (
        item.kind.value,
        item.dn,
        item.active,
        sorted(item.names),
        sorted((key, values) for key, values in item.attributes.items()),
        members,
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _count(connection: Connection, *conditions: object) -> int:
    statement = select(func.count()).select_from(entry).where(*conditions)  # type: ignore[arg-type]
    return connection.execute(statement).scalar_one()
