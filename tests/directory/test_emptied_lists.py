"""A directory in which most groups suddenly show no member is not believed, until somebody says that it is meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.directory.mirror import absorb, owes_full_read
from agent.state.database import State
from connectors.base import (
    Checkpoint,
    Completeness,
    Entry,
    EntryDeleted,
    EntryFound,
    EntryUnreadable,
    Extent,
    MemberList,
    MembersChanged,
    Name,
    NameKind,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)
from tests.directory.test_mirror import group, members, present, state, take, user

__all__ = ["state"]  # the fixture

PEOPLE = (user("a"), user("b"))
HELD = (group("g", "a"), group("h", "a", "b"), group("i", "b"))
EMPTY = (group("g"), group("h"), group("i"))
MOST = "most of its groups that held members show none any more"
OTHERS = (group("j", "a"), group("k", "a"), group("l", "b"))


def lists(state: State) -> dict[str, set[str]]:
    return {anchor: {dn[4:-4] for dn in members(state, anchor)} for anchor in "ghi"}


AS_HELD = {"g": {"a"}, "h": {"a", "b"}, "i": {"b"}}
NOBODY: dict[str, set[str]] = {"g": set(), "h": set(), "i": set()}


def take_as_meant(state: State, *items: Entry) -> Completeness:
    events = [
        ReadStarted(Extent.FULL, "server"),
        *map(EntryFound, items),
        ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint("c9")),
    ]
    return absorb(state, "corp", events, "f", full_due=True, meant=True).completeness


@pytest.mark.parametrize("end", [Completeness.COMPLETE, Completeness.PARTIAL])
def test_a_full_read_in_which_every_list_has_become_empty_takes_over_everything_but_that(
    state: State, end: Completeness
) -> None:
    take(state, *PEOPLE, user("gone"), *HELD)

    outcome = take(state, *PEOPLE, user("new"), *EMPTY, end=ReadEnded(end, "and a page was lost"))

    assert outcome.completeness is Completeness.PARTIAL
    assert MOST in outcome.reason
    assert outcome.reason.endswith("and a page was lost")
    assert lists(state) == AS_HELD
    assert present(state) == {"a", "b", "gone", "new", "g", "h", "i"}
    assert owes_full_read(state, "corp")


def test_lists_that_were_kept_are_as_the_directory_has_them_once_it_shows_members_again(state: State) -> None:
    take(state, *PEOPLE, *HELD)
    for _ in range(2):
        take(state, *PEOPLE, *EMPTY)
        assert lists(state) == AS_HELD

    outcome = take(state, *PEOPLE, group("g", "b"), group("h"), group("i", "b"))

    assert (outcome.completeness, owes_full_read(state, "corp")) == (Completeness.COMPLETE, False)
    assert lists(state) == {"g": {"b"}, "h": set(), "i": {"b"}}


def test_empty_lists_are_taken_over_when_they_are_meant_and_the_read_before_told_of_them(state: State) -> None:
    take(state, *PEOPLE, *HELD)

    untold = take_as_meant(state, *PEOPLE, *EMPTY), lists(state)
    told = take_as_meant(state, *PEOPLE, *EMPTY), lists(state)

    assert untold == (Completeness.PARTIAL, AS_HELD)
    assert told == (Completeness.COMPLETE, NOBODY)
    assert not owes_full_read(state, "corp")


def test_that_they_are_meant_does_not_count_when_the_read_before_told_of_something_else(state: State) -> None:
    take(state, *PEOPLE, *HELD)
    take(state, *PEOPLE, *EMPTY)
    take(state, end=ReadEnded(Completeness.FAILED, "the server is down"))

    assert take_as_meant(state, *PEOPLE, *EMPTY) is Completeness.PARTIAL
    assert lists(state) == AS_HELD


def test_a_few_members_may_leave_at_once(state: State) -> None:
    take(state, *PEOPLE, HELD[0], group("h"), HELD[2])

    outcome = take(state, *PEOPLE, *EMPTY)

    assert outcome.completeness is Completeness.COMPLETE
    assert lists(state) == NOBODY


def test_a_group_that_still_shows_its_members_does_not_vouch_for_all_others(state: State) -> None:
    take(state, *PEOPLE, *HELD, OTHERS[0])

    outcome = take(state, *PEOPLE, *EMPTY, OTHERS[0])

    assert outcome.completeness is Completeness.PARTIAL
    assert lists(state) == AS_HELD


def test_half_of_the_lists_may_become_empty(state: State) -> None:
    take(state, *PEOPLE, *HELD, *OTHERS)

    outcome = take(state, *PEOPLE, *EMPTY, *OTHERS)

    assert outcome.completeness is Completeness.COMPLETE
    assert lists(state) == NOBODY


@pytest.mark.parametrize(
    "other",
    [EntryUnreadable("cn=j,o=x", "broken text", "j"), replace(group("j"), members=None)],
    ids=["cannot be understood", "comes without its list"],
)
def test_lists_that_did_not_come_do_not_show_that_members_can_be_read(state: State, other: Entry | ReadEvent) -> None:
    take(state, *PEOPLE, *HELD, group("j", "a"))
    take(state, user("z"), group("k", "z"), source="partner")

    take(state, *PEOPLE, *EMPTY, other)

    assert lists(state) == AS_HELD


def test_what_a_group_shows_of_primary_members_is_no_member(state: State) -> None:
    def primary(item: Entry) -> Entry:
        own = Name(NameKind.PRIMARY_GROUP, f"s-{item.anchor}")
        names = item.members.names if item.members else frozenset()
        return replace(item, members=MemberList(names | {own}))

    take(state, *PEOPLE, *map(primary, HELD))

    outcome = take(state, *PEOPLE, *map(primary, EMPTY))
    kept = members(state, "h")
    taken = take_as_meant(state, *PEOPLE, *map(primary, EMPTY))

    assert MOST in outcome.reason
    assert kept == {"uid=a,o=x", "uid=b,o=x", "s-h"}
    assert (taken, members(state, "h")) == (Completeness.COMPLETE, {"s-h"})


@pytest.mark.parametrize(
    "rest", [(), (group("j"),), OTHERS[:2]], ids=["no other", "another that is empty", "fewer others that are not"]
)
def test_an_increment_after_which_most_lists_are_empty_needs_a_full_read(state: State, rest: tuple[Entry, ...]) -> None:
    take(state, *PEOPLE, *HELD, *rest)

    outcome = take(state, *EMPTY, extent=Extent.INCREMENTAL)

    assert outcome.needs_full == MOST
    assert lists(state) == AS_HELD


def test_what_an_increment_does_not_bring_does_not_vouch_for_the_lists_that_came_empty(state: State) -> None:
    take(state, *PEOPLE, *HELD, *OTHERS)

    outcome = take(state, *EMPTY, extent=Extent.INCREMENTAL)
    kept = lists(state)
    take(state, *PEOPLE, *EMPTY, *OTHERS)

    assert (outcome.needs_full, kept) == (MOST, AS_HELD)
    assert lists(state) == NOBODY


def test_members_that_are_gone_from_the_source_have_left(state: State) -> None:
    take(state, *PEOPLE, user("c"), *HELD)

    outcome = take(state, user("c"), *EMPTY)

    assert outcome.completeness is Completeness.COMPLETE
    assert lists(state) == NOBODY


def test_an_increment_that_tells_of_every_member_that_left_is_believed(state: State) -> None:
    take(state, *PEOPLE, *HELD)

    leaving = [MembersChanged(held.anchor, frozenset(), held.members.names) for held in HELD if held.members]
    outcome = take(state, *leaving, extent=Extent.INCREMENTAL)

    assert outcome.needs_full == ""
    assert lists(state) == NOBODY


def test_a_list_that_came_empty_and_then_gets_a_member_has_only_that_one(state: State) -> None:
    take(state, *PEOPLE, *HELD)

    joins = MembersChanged("h", frozenset({Name(NameKind.DN, "uid=b,o=x")}), frozenset())
    outcome = take(state, *PEOPLE, *EMPTY, joins)

    assert outcome.completeness is Completeness.COMPLETE
    assert lists(state) == NOBODY | {"h": {"b"}}


@pytest.mark.parametrize("last", [group("h", "b"), group("h", "b", complete=False)], ids=["whole", "cut short"])
def test_a_list_that_came_empty_and_then_with_members_has_these(state: State, last: Entry) -> None:
    take(state, *PEOPLE, *HELD)

    # Of one batch only the last would count.
    later: list[Entry | ReadEvent] = [EntryDeleted("nobody", "said so"), last]
    outcome = take(state, *PEOPLE, *EMPTY, *later)

    assert outcome.completeness is Completeness.COMPLETE
    assert lists(state)["g"] == set()
    assert "b" in lists(state)["h"]


def test_groups_that_were_emptied_and_deleted_are_not_counted(state: State) -> None:
    take(state, *PEOPLE, *HELD, group("j", "a"))

    deleted = [EntryDeleted(anchor, "said so") for anchor in "ghi"]
    outcome = take(state, *PEOPLE, *EMPTY, group("j"), *deleted)

    assert outcome.completeness is Completeness.COMPLETE
    assert members(state, "j") == set()
