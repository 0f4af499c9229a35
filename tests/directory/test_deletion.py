"""What an entry takes along of which the source itself said that it is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.directory.mirror import owes_full_read
from agent.state.database import State
from connectors.base import (
    Entry,
    EntryDeleted,
    EntryFound,
    EntryKind,
    Extent,
    MemberList,
    MembersChanged,
    Name,
    NameKind,
    ReadEvent,
    ReadStarted,
)
from tests.directory.test_incremental_reads import people_in
from tests.directory.test_mirror import group, members, state, take, user

__all__ = ["state"]  # the fixture

INCREMENTAL = Extent.INCREMENTAL
SID = Name(NameKind.SID, "s-1-5-21-7")


def stranger(anchor: str) -> Entry:
    """Somebody of another forest, by the SID of there."""
    return replace(user(anchor), kind=EntryKind.FOREIGN_PRINCIPAL, names=user(anchor).names | {SID})


def listing(anchor: str, *names: Name) -> Entry:
    return replace(group(anchor), members=MemberList(frozenset(names)))


def deleted(anchor: str, *names: Name) -> EntryDeleted:
    return EntryDeleted(anchor, "said so", from_groups=True, names=frozenset(names))


@pytest.mark.parametrize("known", [True, False], ids=["in the mirror", "outside of it"])
def test_a_deleted_entry_leaves_the_groups_that_list_it_by_a_name_only_the_source_knows(
    state: State, known: bool
) -> None:
    take(state, user("a"), *([user("b")] if known else []), listing("g", SID, *user("a").names))

    outcome = take(state, deleted("b", SID), extent=INCREMENTAL)

    assert members(state, "g") == {"uid=a,o=x"}
    assert outcome.gone == int(known)


def test_names_of_an_entry_that_the_source_has_not_taken_out_of_its_groups_stay_in_them(state: State) -> None:
    take(state, user("a"), user("b"), listing("g", SID))

    take(state, EntryDeleted("b", "said so", names=frozenset({SID})), extent=INCREMENTAL)

    assert members(state, "g") == {SID.value}


def test_a_deleted_entry_stays_in_the_lists_of_other_sources(state: State) -> None:
    take(state, user("a"), stranger("b"), listing("g", SID))
    take(state, user("c"), listing("h", SID), source="partner")

    take(state, deleted("b", SID), extent=INCREMENTAL)

    assert (members(state, "g"), members(state, "h")) == (set(), {SID.value})


def test_a_group_of_its_own_source_loses_a_deleted_stranger_whom_another_source_knows(state: State) -> None:
    take(state, user("a"), stranger("b"), listing("g", SID))
    take(state, stranger("c"), listing("h", SID), source="partner")
    before = people_in(state, "g")

    take(state, deleted("b", SID), extent=INCREMENTAL)

    assert (before, people_in(state, "g")) == ({"c"}, set())
    assert people_in(state, "h") == {"c"}


@pytest.mark.parametrize("back_in", ["by its change", "by the list from before", "not at all"])
def test_who_is_made_anew_with_the_same_sid_is_in_the_groups_that_took_it_in_again(state: State, back_in: str) -> None:
    list_of_g = listing("g", SID, *user("a").names)
    take(state, user("a"), stranger("b"), list_of_g)

    again: dict[str, list[Entry | ReadEvent]] = {
        "by its change": [MembersChanged("g", frozenset({SID}), frozenset())],
        "by the list from before": [list_of_g],
        "not at all": [],
    }
    outcome = take(state, deleted("b", SID), stranger("c"), *again[back_in], extent=INCREMENTAL)

    assert outcome.needs_full == ""
    assert people_in(state, "g") == ({"a"} if back_in == "not at all" else {"a", "c"})


@pytest.mark.parametrize(
    "brought_in", [MembersChanged("g", frozenset({SID}), frozenset()), EntryFound(listing("g", SID))]
)
def test_a_deletion_that_is_told_after_a_list_got_the_name_needs_a_full_read(
    state: State, brought_in: ReadEvent
) -> None:
    take(state, user("a"), listing("g", *user("a").names))

    outcome = take(state, brought_in, deleted("b", SID), extent=INCREMENTAL)

    assert "its name s-1-5-21-7 may be another one's" in outcome.needs_full
    assert members(state, "g") == {"uid=a,o=x"}


def test_somebody_who_joined_a_group_and_was_deleted_is_in_none(state: State) -> None:
    guid = Name(NameKind.GUID, "b")
    take(state, user("a"), replace(user("b"), names=user("b").names | {guid}), listing("g", *user("a").names))

    outcome = take(
        state, MembersChanged("g", frozenset({guid}), frozenset()), deleted("b", SID, guid), extent=INCREMENTAL
    )

    assert outcome.needs_full == ""
    assert members(state, "g") == {"uid=a,o=x"}


@pytest.mark.parametrize("known", [True, False], ids=["in the mirror", "outside of it"])
def test_a_deletion_that_is_told_after_another_entry_got_the_name_needs_a_full_read(state: State, known: bool) -> None:
    take(state, user("a"), *([stranger("b")] if known else []), listing("g", SID))

    outcome = take(state, stranger("c"), deleted("b", SID), extent=INCREMENTAL)
    nothing_taken = people_in(state, "g")
    read = take(
        state, ReadStarted(Extent.FULL, "server"), user("a"), stranger("c"), listing("g", SID), deleted("b", SID)
    )

    assert "its name s-1-5-21-7 may be another one's" in outcome.needs_full
    assert nothing_taken == ({"b"} if known else set())
    assert read.again
    assert owes_full_read(state, "corp")
    assert people_in(state, "g") == {"c"}
