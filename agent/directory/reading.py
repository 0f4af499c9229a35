"""One read on its way into the mirror: what each event does, and what may be concluded at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from agent.directory.content import brings_no_list, receive, receive_members
from agent.directory.deletion import delete_entry
from agent.directory.doubts import Doubts, doubt_list_of, no_longer_whole
from agent.directory.emptied_lists import EmptiedLists, reason_of, told_before
from agent.directory.names import purge_former_names, qualified
from agent.directory.outcome import SourceOutcome
from agent.directory.presence import (
    listed_groups_unmentioned,
    lose_unmentioned,
    mention,
    plural,
    populated_kinds,
    unmentioned_kind,
)
from agent.directory.second_hand import delete_second_hand, receive_second_hand
from agent.directory.unreadable import (
    forget_unreadable,
    forget_unseen,
    remember_unreadable,
    sentences_about_unreadable,
    still_there,
)
from agent.state.database import batched
from agent.state.tables import source
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
    MembersChanged,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    SourceSettings,
)

_BATCH = 500
_UNREADABLE_SHOWN = 20


class Reading:
    """Takes the events of one read. The caller owns the transaction, and rolls back a read that does not count.

    meant:    what the read before did not take over, because it was hardly meant, is meant
    sources:  all that are configured: what is one of theirs to tell is not taken second-hand
    """

    def __init__(self, source_name: str, *, meant: bool = False, sources: Sequence[SourceSettings] = ()) -> None:
        self.source = source_name
        self._meant = meant
        self._sources = sources
        self.number = 0
        self.checkpoint: Checkpoint | None = None
        self._started: ReadStarted | None = None
        self._seen = self._changed = self._gone = 0
        self._anonymous: list[str] = []  # sentences about unreadable entries without an anchor
        self._doubts = Doubts()
        self._emptied = EmptiedLists(source_name)

    def forget(self, connection: Connection) -> None:
        """The read does not count: no entry remembers it, and it leads to no checkpoint."""
        self.number = _last_number(connection, self.source)
        self.checkpoint = None

    def take(self, connection: Connection, events: Iterable[ReadEvent]) -> SourceOutcome:
        """Apply every event, draw the conclusions, and return how it went."""
        self.number = _last_number(connection, self.source) + 1
        populated = populated_kinds(connection, self.source)
        end = self._take_events(connection, events)
        self.checkpoint = end.checkpoint
        outcome = self._conclude(connection, self._outcome(end), populated)
        unreadable = (*self._anonymous, *sentences_about_unreadable(connection, self.source))
        return replace(
            outcome,
            seen=self._seen,
            changed=self._changed,
            gone=self._gone,
            unreadable=unreadable[:_UNREADABLE_SHOWN],
        )

    # --- the events ----------------------------------------------------------------------------------------------

    def _take_events(self, connection: Connection, events: Iterable[ReadEvent]) -> ReadEnded:
        waiting: list[EntryFound] = []
        for event in events:
            if isinstance(event, EntryFound):
                self._seen += 1
                waiting.append(event)
                if len(waiting) < _BATCH:
                    continue
            # The order of the events counts: an entry may be found, and deleted while the read goes on.
            self._receive(connection, [found.entry for found in waiting if not found.second_hand])
            self._receive_second_hand(connection, [found.entry for found in waiting if found.second_hand])
            waiting = []
            if isinstance(event, ReadEnded):
                return event
            self._take_event(connection, event)
        return ReadEnded(
            Completeness.FAILED,
            f"source {self.source}: the connector stopped without saying that it had finished. "
            "Nothing was taken over; see the log, and report this to the connector's author.",
        )

    def _take_event(self, connection: Connection, event: ReadEvent) -> None:
        match event:
            case ReadStarted():
                self._start(event)
            case EntryDeleted(second_hand=True):
                self._gone += delete_second_hand(connection, event, self.number)
            case EntryDeleted():
                forget_unreadable(connection, self.source, [event.anchor])
                deleted = delete_entry(connection, self.source, event, self.number, self._doubts.entered)
                self._gone += deleted.gone
                self._doubts.inherited(deleted.inherited)
                if deleted.listed:
                    self._doubts.may_be_elsewhere([event.anchor])
            case MembersChanged():
                self._emptied.before_change(connection, event)
                self._doubts.entered.update(qualified(name, self.source) for name in event.added)
                if receive_members(connection, self.source, event, self.number):
                    self._changed += 1
                elif not still_there(connection, self.source, [event.anchor], self.number):
                    # Of a group that was never understood no list is known: it has to come when it is.
                    self._doubts.never_sent([event.anchor])
            case EntriesListed(anchors=anchors):
                for some in batched(anchors, _BATCH):
                    self._list(connection, some)
            case EntryUnreadable(dn=dn, reason=reason, anchor=None):
                self._anonymous.append(f"{dn}: {reason}")
            case EntryUnreadable(anchor=str(anchor)):
                remember_unreadable(connection, self.source, event, self.number)
                mention(connection, self.source, [anchor], self.number)
                doubt_list_of(connection, self.source, anchor)
                self._doubts.lists_missing((), come=[anchor])
                self._doubts.sent([anchor])

    def _start(self, event: ReadStarted) -> None:
        if event.extent is Extent.FULL and self._started and self._started.extent is Extent.INCREMENTAL:
            # What was said before is no part of the complete picture: it vouches for nobody.
            self.number += 1
            self._doubts.begin_again()
        self._started = event

    def _receive(self, connection: Connection, found: list[Entry]) -> None:
        if not found:
            return
        whole = [item.anchor for item in found if not brings_no_list(item)]
        forget_unreadable(connection, self.source, whole)
        without_list = [item.anchor for item in found if brings_no_list(item)]
        # A group that could not be understood is not yet, as long as its list does not come with it.
        unknown = still_there(connection, self.source, without_list, self.number) if without_list else set()
        self._doubts.lists_missing(unknown, come=whole)
        self._doubts.sent([*whole, *without_list])
        received = receive(connection, self.source, found, self.number, self._doubts.exchanges)
        self._doubts.note(received)
        self._emptied.note(received.emptied, (exchange.group_id for exchange in received.exchanges))
        self._changed += received.changed

    def _receive_second_hand(self, connection: Connection, found: list[Entry]) -> None:
        if found:
            self._changed += receive_second_hand(connection, found, self.number, self._sources).changed

    def _list(self, connection: Connection, anchors: list[str]) -> None:
        known = mention(connection, self.source, anchors, self.number)
        known |= still_there(connection, self.source, anchors, self.number)
        self._doubts.never_sent(set(anchors) - known)

    def _outcome(self, end: ReadEnded) -> SourceOutcome:
        started = self._started or ReadStarted(Extent.INCREMENTAL, server="")
        return SourceOutcome(
            source=self.source,
            extent=started.extent,
            completeness=end.completeness,
            reason=end.reason,
            server=started.server,
            note=started.note,
            lists_all=started.extent is Extent.FULL or end.lists_all,
            position=end.position,
        )

    # --- the end of the read -------------------------------------------------------------------------------------

    def _conclude(self, connection: Connection, outcome: SourceOutcome, populated: set[EntryKind]) -> SourceOutcome:
        if outcome.completeness is Completeness.FAILED:
            return outcome
        increment = outcome.extent is Extent.INCREMENTAL
        if increment and outcome.proves_absence:
            self._doubts.may_be_elsewhere(listed_groups_unmentioned(connection, self.source, self.number))
        if increment and (reason := self._doubt(connection, populated)):
            return replace(outcome, needs_full=reason)
        outcome = self._settle_emptied_lists(connection, outcome)
        if outcome.needs_full:
            return outcome
        if outcome.proves_absence:
            outcome = self._conclude_absences(connection, outcome)
            if outcome.reads_everything:
                purge_former_names(connection, self.source, self.number)
        in_doubt = self._doubts.settle_lists(connection)
        if in_doubt and increment:
            return replace(outcome, needs_full="a group lists somebody new who was not found")
        if self._doubts.about_heirs or self._doubts.a_list_is_missing:
            outcome = replace(outcome, again=True)
        if in_doubt:
            # What they lost stays until another read of everything tells whose the new names are.
            no_longer_whole(connection, in_doubt)
            outcome = replace(outcome, again=True)
        self._doubts.strike_out_of_date(connection, self.number)
        return outcome

    def _doubt(self, connection: Connection, populated: set[EntryKind]) -> str:
        """Say why an incremental read does not suffice, or return an empty text."""
        if reason := self._doubts.about_increment(connection, self.number):
            return reason
        lost = populated - populated_kinds(connection, self.source)
        return f"it held {plural(lost.pop())} and now shows none" if lost else ""

    def _settle_emptied_lists(self, connection: Connection, outcome: SourceOutcome) -> SourceOutcome:
        increment = outcome.extent is Extent.INCREMENTAL
        if self._emptied.hardly_meant(connection, self.number, everything=outcome.proves_absence):
            if increment:
                return replace(outcome, needs_full="most of its groups that held members show none any more")
            if not (self._meant and told_before(connection, self.source, reason_of(self.source))):
                no_longer_whole(connection, self._emptied.groups)
                reason = f"{reason_of(self.source)} {outcome.reason}".strip()
                return replace(outcome, completeness=Completeness.PARTIAL, reason=reason)
        self._emptied.take_over(connection)
        return outcome

    def _conclude_absences(self, connection: Connection, outcome: SourceOutcome) -> SourceOutcome:
        if missing := unmentioned_kind(connection, self.source, self.number):
            kind, held = missing
            reason = (
                f"source {self.source}: it held {held} {plural(kind)} and now shows none. That is hardly meant: check "
                "the base, the filter and the rights of the account. Nothing is removed. If it is meant, run rollcall "
                "sync --full, which takes it over; the guard counts."
            )
            if not (self._meant and told_before(connection, self.source, reason)):
                return replace(outcome, emptied=True, reason=reason)
        evidence = f"absent from the complete read {self.number} of source {self.source} ({outcome.server})"
        self._gone += lose_unmentioned(connection, self.source, evidence, self.number)
        forget_unseen(connection, self.source, self.number)
        return outcome


def _last_number(connection: Connection, source_name: str) -> int:
    return connection.execute(select(source.c.read_number).where(source.c.name == source_name)).scalar() or 0
