"""What a read brought and cannot vouch for alone: it is gathered as it comes, and settled at the end of the read."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, or_, select, update

from agent.directory.content import Received
from agent.directory.marks import mark
from agent.directory.members import Exchange, settle_exchanges, strike_from
from agent.directory.names import TakenOver, lists_from_before
from agent.state.database import batched
from agent.state.tables import entry
from connectors.base import EntryKind, Name

_BATCH = 500


class Doubts:
    """The doubts of one read."""

    def __init__(self) -> None:
        self._taken: list[TakenOver] = []
        self.exchanges: dict[int, Exchange] = {}  # by the number of the group
        self._unheard_of: set[str] = set()  # anchors the source lists and has not sent, in this read or before
        self._lists_missing: set[str] = set()  # anchors of groups
        self.entered: set[Name] = set()  # names that single changes brought into lists
        self._inherited: set[Name] = set()
        self._elsewhere: set[str] = set()

    def begin_again(self) -> None:
        """A complete picture follows: what was doubtful of an increment is in it. Lists go on waiting."""
        self._taken, self._unheard_of, self._inherited, self._lists_missing = [], set(), set(), set()
        self._elsewhere = set()

    def note(self, received: Received) -> None:
        """Remember what came of entries that were taken in."""
        self._taken += received.taken
        for item in received.exchanges:
            if item.lost:
                self.exchanges[item.group_id] = item
            else:
                self.exchanges.pop(item.group_id, None)
        self._unheard_of |= received.without_list

    def never_sent(self, anchors: Iterable[str]) -> None:
        """The source speaks of these, and the mirror does not know them."""
        self._unheard_of.update(anchors)

    def sent(self, anchors: Iterable[str]) -> None:
        """The source sent these, too."""
        self._unheard_of.difference_update(anchors)

    def lists_missing(self, anchors: Iterable[str], *, come: Iterable[str]) -> None:
        """These groups could not be understood, and came without their members now; of those the list has come.

        What changed in such a list meanwhile was not taken.
        """
        self._lists_missing.update(anchors)
        self._lists_missing.difference_update(come)

    def may_be_elsewhere(self, anchors: Iterable[str]) -> None:
        """These groups are said to be gone, others list them, and they may only have been moved out of sight."""
        self._elsewhere.update(anchors)

    def inherited(self, names: Iterable[Name]) -> None:
        """A deleted entry left all its groups, and these names of it may be another one's by now."""
        self._inherited.update(names)

    @property
    def about_heirs(self) -> str:
        """Say why a list may mean an entry that is gone, or return an empty text."""
        if not self._inherited:
            return ""
        return f"an entry was deleted, and its name {min(self._inherited).value} may be another one's by now"

    @property
    def a_list_is_missing(self) -> bool:
        """Whether a group that could not be understood came without its members."""
        return bool(self._lists_missing)

    @property
    def _about_groups(self) -> str:
        if self._elsewhere:
            return f"a group was deleted or moved away ({min(self._elsewhere)}); the groups that list it tell which"
        if self._lists_missing:
            return f"a group can be understood now and came without its members ({min(self._lists_missing)})"
        return ""

    def about_increment(self, connection: Connection, read_number: int) -> str:
        """Say why what an increment brought does not suffice, or return an empty text."""
        if self._about_groups:
            return self._about_groups
        if self._unheard_of:
            return f"the source lists an entry it never sent ({min(self._unheard_of)})"
        for item in self._taken:
            previous = connection.execute(
                select(entry.c.dn).where(
                    entry.c.id == item.previous, entry.c.present, entry.c.content_read < read_number
                )
            ).scalar()
            if item.held and previous is not None:
                return f"the name {previous} belongs to another entry now, and the source did not say why"
        if self.about_heirs:
            return self.about_heirs
        if old := lists_from_before(connection, self._taken, read_number):
            return (
                f"the name {old[0][1].value} belongs to another entry now, and a group that lists it may have changed"
            )
        return ""

    def settle_lists(self, connection: Connection) -> list[int]:
        """Take out of the lists whoever is known to have left them. Returns the groups where that is not known."""
        return settle_exchanges(connection, self.exchanges.values())

    def strike_out_of_date(self, connection: Connection, read_number: int) -> None:
        """Take names that have a new owner out of the lists that could not be read again; what is left is not whole."""
        for group_id, name in lists_from_before(connection, self._taken, read_number):
            strike_from(connection, group_id, name)
            no_longer_whole(connection, [group_id])
            mark(connection, [group_id], references_too=True)


def doubt_list_of(connection: Connection, source: str, anchor: str) -> None:
    """A group cannot be understood, so it may list others by now, whether this read tells of that or not."""
    group_id = connection.execute(
        select(entry.c.id).where(
            entry.c.source == source,
            entry.c.anchor == anchor,
            entry.c.present,
            entry.c.kind == EntryKind.GROUP.value,
            or_(entry.c.members_complete, entry.c.digest != ""),
        )
    ).scalar()
    if group_id is not None:
        no_longer_whole(connection, [group_id])
        mark(connection, [group_id], references_too=True)


def no_longer_whole(connection: Connection, group_ids: list[int]) -> None:
    """These lists prove no absence. Without a digest they are taken in the next time they come, whatever they hold."""
    for some in batched(group_ids, _BATCH):
        connection.execute(update(entry).where(entry.c.id.in_(some)).values(members_complete=False, digest=""))
