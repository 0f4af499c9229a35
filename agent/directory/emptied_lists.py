"""Lists that come empty: a directory in which most groups suddenly show no member is not believed.

A right that was withdrawn from the `member` attribute looks like that: every group is there, and hardly one has a
member. Hardly: a protected group, of administrators, has rights of its own (AdminSDHolder, MS-ADTS 3.1.1.6.1). So a
list that came empty is emptied at the end of the read only, when it is known how many groups still show members.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, exists, func, select, update

from agent.directory.presence import number_of
from agent.state.database import batched
from agent.state.tables import entry, membership, name, source
from connectors.base import Entry, EntryKind, MembersChanged, NameKind

_BATCH = 500
member = entry.alias("member")
# Of a small group one or two may well leave at once.
_A_FEW = 3
# A group lists this of itself, whoever has it as primary group.
_SHOWS_MEMBERS = (membership.c.group_id == entry.c.id, membership.c.kind != NameKind.PRIMARY_GROUP.value)


def comes_empty(item: Entry) -> bool:
    """Tell whether a group came with its whole list, and nobody in it."""
    return (
        item.kind is EntryKind.GROUP
        and item.members is not None
        and item.members.complete
        and all(name.kind is NameKind.PRIMARY_GROUP for name in item.members.names)
    )


def holds_members(connection: Connection, group_id: int) -> bool:
    """Tell whether the mirror knows of members in the list of this group."""
    members = select(entry.c.id).where(entry.c.id == group_id, exists().where(*_SHOWS_MEMBERS))
    return connection.execute(members).first() is not None


def reason_of(source_name: str) -> str:
    """Say to people why the lists are kept."""
    return (
        f"source {source_name}: most of its groups that held members show none any more. That is hardly meant: "
        "check that the account may read the members of groups. The lists stay as they were, and nothing is removed. "
        "If it is meant, run rollcall sync --full, which takes the empty lists over."
    )


def told_before(connection: Connection, source_name: str, reason: str) -> bool:
    """Tell whether the last read of the source ended with just this."""
    told = connection.execute(select(source.c.reason).where(source.c.name == source_name)).scalar() or ""
    return told.startswith(reason)


class EmptiedLists:
    """The lists of one source that came empty in one read, and are not emptied yet."""

    def __init__(self, source_name: str) -> None:
        self._source = source_name
        self._groups: set[int] = set()

    @property
    def groups(self) -> list[int]:
        """Which they are."""
        return sorted(self._groups)

    def note(self, emptied: Iterable[int], listed: Iterable[int]) -> None:
        """Remember the groups that came with an empty list, and forget those that came with another."""
        self._groups.difference_update(listed)
        self._groups.update(emptied)

    def before_change(self, connection: Connection, event: MembersChanged) -> None:
        """Somebody enters a list that came empty: the others have left it."""
        if not event.added or not self._groups:
            return
        number = number_of(connection, self._source, event.anchor)
        if number in self._groups:
            self._empty(connection, [number])
            self._groups.discard(number)

    def hardly_meant(self, connection: Connection, read_number: int, *, everything: bool) -> bool:
        """Tell whether most groups that held members, of those whose lists came in this read, show none now.

        everything: whoever was not mentioned in this read is gone, and so no longer in any group
        """
        if not self._groups:
            return False
        came = [
            entry.c.source == self._source,
            entry.c.kind == EntryKind.GROUP.value,
            entry.c.present,
            entry.c.content_read == read_number,
            entry.c.digest != "",
        ]
        emptied = sum(_with_members(connection, *came, entry.c.id.in_(some)) for some in self._batches())
        there = [member.c.present, *([member.c.last_seen == read_number] if everything else [])]
        lost = sum(_memberships(connection, some, there) for some in self._batches())
        return lost >= _A_FEW and 2 * emptied > _with_members(connection, *came)

    def take_over(self, connection: Connection) -> None:
        """Empty the lists."""
        for some in self._batches():
            self._empty(connection, some)

    def _batches(self) -> Iterable[list[int]]:
        return batched(self.groups, _BATCH)

    @staticmethod
    def _empty(connection: Connection, groups: list[int]) -> None:
        connection.execute(
            delete(membership).where(
                membership.c.group_id.in_(groups), membership.c.kind != NameKind.PRIMARY_GROUP.value
            )
        )
        connection.execute(update(entry).where(entry.c.id.in_(groups)).values(old_list=False))


def _with_members(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    groups = select(func.count()).select_from(entry).where(*conditions, exists().where(*_SHOWS_MEMBERS))
    return connection.execute(groups).scalar_one()


def _memberships(connection: Connection, groups: list[int], there: list[ColumnElement[bool]]) -> int:
    """Count the memberships of those that are there all the same."""
    same_name = (name.c.kind == membership.c.kind) & (name.c.value == membership.c.value)
    counted = (
        select(func.count())
        .select_from(membership.join(name, same_name).join(member, member.c.id == name.c.entry_id))
        .where(membership.c.group_id.in_(groups), membership.c.kind != NameKind.PRIMARY_GROUP.value, *there)
    )
    return connection.execute(counted).scalar_one()
