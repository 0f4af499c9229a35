"""What happens to the list of a group that cannot be understood for a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from agent.state.database import State
from agent.state.tables import entry, mark
from connectors.base import (
    Entry,
    EntryUnreadable,
    Extent,
    MembersChanged,
    Name,
    NameKind,
    ReadEvent,
    ReadStarted,
)
from tests.directory.test_mirror import group, members, state, take, user

__all__ = ["state"]  # the fixture

INCREMENTAL = Extent.INCREMENTAL
UNREADABLE = EntryUnreadable("cn=g,o=x", "broken text", "g")
WITHOUT_LIST = replace(group("g"), members=None)


def dn_of(anchor: str) -> frozenset[Name]:
    return frozenset({Name(NameKind.DN, f"uid={anchor},o=x")})


def a_leaves() -> MembersChanged:
    return MembersChanged("g", frozenset(), dn_of("a"))


def b_joins() -> MembersChanged:
    return MembersChanged("g", dn_of("b"), frozenset())


def is_whole(state: State) -> bool:
    with state.read() as connection:
        return bool(connection.execute(select(entry.c.members_complete).where(entry.c.anchor == "g")).scalar_one())


def marked(state: State) -> set[str]:
    with state.read() as connection:
        return set(connection.execute(select(entry.c.anchor).join(mark, mark.c.entry_id == entry.c.id)).scalars())


@pytest.mark.parametrize("extent", Extent)
def test_the_list_of_a_group_that_cannot_be_understood_proves_nothing_until_it_comes_again(
    state: State, extent: Extent
) -> None:
    people = user("a"), user("b")
    take(state, *people, group("g", "a", "b"))
    with state.write() as connection:
        connection.execute(mark.delete())

    take(state, *people, group("h"), UNREADABLE, extent=extent)
    kept, whole, looked_at_again = members(state, "g"), is_whole(state), marked(state)
    mended = take(state, group("g", "a", "b"), extent=INCREMENTAL)

    assert (kept, whole) == ({"uid=a,o=x", "uid=b,o=x"}, False)
    assert "g" in looked_at_again
    assert (mended.needs_full, is_whole(state)) == ("", True)


def test_changes_of_members_arrive_though_their_group_cannot_be_understood(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a"))

    take(state, b_joins(), UNREADABLE, extent=INCREMENTAL)
    take(state, a_leaves(), extent=INCREMENTAL)

    assert members(state, "g") == {"uid=b,o=x"}


@pytest.mark.parametrize("known", [True, False], ids=["known before", "never understood"])
def test_a_group_that_can_be_understood_again_and_comes_without_its_list_needs_a_full_read(
    state: State, known: bool
) -> None:
    take(state, user("a"), user("b"), group("h"), *([group("g", "a")] if known else [UNREADABLE]))
    take(state, UNREADABLE, extent=INCREMENTAL)

    without = take(state, WITHOUT_LIST, b_joins(), extent=INCREMENTAL)
    once_more = take(state, WITHOUT_LIST, extent=INCREMENTAL)
    with_it = take(state, WITHOUT_LIST, group("g", "b"), extent=INCREMENTAL)

    assert (
        without.needs_full == once_more.needs_full == "a group can be understood now and came without its members (g)"
    )
    assert with_it.needs_full == ""
    assert members(state, "g") == {"uid=b,o=x"}
    assert take(state, WITHOUT_LIST, extent=INCREMENTAL).needs_full == ""


def test_changes_of_members_of_a_group_that_was_never_understood_wait_for_its_list(state: State) -> None:
    take(state, user("a"), user("b"), group("h"), UNREADABLE)

    read: list[Entry | ReadEvent] = [b_joins(), UNREADABLE, a_leaves()]
    outcomes = [take(state, item, extent=INCREMENTAL) for item in read]

    assert [outcome.needs_full for outcome in outcomes] == ["", "", ""]
    assert "without its members" in take(state, WITHOUT_LIST, extent=INCREMENTAL).needs_full


def test_a_full_read_brings_the_list_of_a_group_that_could_be_understood_again_in_the_middle(state: State) -> None:
    take(state, user("a"), group("g", "a"))
    take(state, UNREADABLE, extent=INCREMENTAL)

    outcome = take(
        state, WITHOUT_LIST, ReadStarted(Extent.FULL, "server"), user("a"), group("g", "a"), extent=INCREMENTAL
    )

    assert outcome.needs_full == ""
    assert is_whole(state)


def test_a_person_who_can_be_understood_again_needs_no_full_read(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a"))
    take(state, EntryUnreadable("uid=a,o=x", "broken text", "a"), extent=INCREMENTAL)

    assert take(state, user("a"), extent=INCREMENTAL).needs_full == ""
