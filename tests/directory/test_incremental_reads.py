"""What an incremental read may do to the mirror, and when it does not suffice."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import select

from agent.directory.mirror import absorb, checkpoint_of, owes_full_read
from agent.directory.resolution import flatten
from agent.state.database import State
from agent.state.tables import entry
from connectors.base import (
    Checkpoint,
    Completeness,
    EntriesListed,
    Entry,
    EntryDeleted,
    EntryUnreadable,
    Extent,
    Name,
    NameKind,
    ReadEnded,
    ReadStarted,
)
from tests.directory.test_mirror import group, members, present, state, take, user

__all__ = ["state"]  # the fixture

COMPLETE = ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint("c2"))
ALL_LISTED = replace(COMPLETE, lists_all=True)
INCREMENTAL = Extent.INCREMENTAL


def named(anchor: str, name: str) -> Entry:
    """A user whose anchor and name are two things."""
    dn = f"uid={name},o=x"
    return replace(user(anchor), dn=dn, names=frozenset({Name(NameKind.DN, dn)}))


def people_in(state: State, anchor: str) -> set[str]:
    with state.read() as connection:
        number = connection.execute(select(entry.c.id).where(entry.c.anchor == anchor)).scalar_one()
        found = flatten(connection, number, nested=True).members
        return set(connection.execute(select(entry.c.anchor).where(entry.c.id.in_(found))).scalars())


def test_what_a_list_of_everything_does_not_mention_is_gone(state: State) -> None:
    take(state, user("a"), user("b"), user("c"), group("g", "a", "b", "c"))

    listed = EntriesListed(("a", "g"))
    outcome = take(state, user("c"), listed, extent=INCREMENTAL, end=ALL_LISTED)

    assert present(state) == {"a", "c", "g"}
    assert outcome.gone == 1


def test_a_list_that_is_not_of_everything_or_not_complete_proves_nothing(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a"))

    for end in (COMPLETE, replace(ALL_LISTED, completeness=Completeness.PARTIAL)):
        take(state, EntriesListed(("a", "g")), extent=INCREMENTAL, end=end)

    assert present(state) == {"a", "b", "g"}


def test_an_entry_that_is_listed_and_was_never_sent_needs_a_full_read_and_changes_nothing(state: State) -> None:
    take(state, user("a"), group("g", "a"))

    outcome = take(state, user("b"), EntriesListed(("a", "g", "new")), extent=INCREMENTAL, end=ALL_LISTED)

    assert "lists an entry it never sent (new)" in outcome.needs_full
    assert present(state) == {"a", "g"}
    assert checkpoint_of(state, "corp", "f") == Checkpoint("c1")
    assert owes_full_read(state, "corp")


def test_a_newcomer_may_be_listed_before_it_is_sent(state: State) -> None:
    take(state, user("a"), group("g", "a"))

    outcome = take(state, EntriesListed(("a", "g", "new")), user("new"), extent=INCREMENTAL, end=ALL_LISTED)

    assert outcome.needs_full == ""
    assert present(state) == {"a", "g", "new"}


def test_an_unreadable_entry_is_told_until_it_can_be_understood_and_may_be_listed(state: State) -> None:
    take(state, user("a"), group("g", "a"), EntryUnreadable("uid=b,o=x", "broken text", "b"))
    idle = take(state, EntriesListed(("a", "g", "b")), extent=INCREMENTAL, end=ALL_LISTED)
    mended = take(state, user("b"), extent=INCREMENTAL, end=COMPLETE)

    assert (idle.needs_full, idle.unreadable) == ("", ("uid=b,o=x: broken text",))
    assert mended.unreadable == ()


def test_the_events_count_in_their_order(state: State) -> None:
    take(state, user("a"), group("g", "a"))

    take(state, user("b"), EntryDeleted("b", "said so"), EntryDeleted("a", "said so"), user("a"), extent=INCREMENTAL)

    assert present(state) == {"a", "g"}


def test_a_name_with_a_new_owner_needs_a_full_read_when_a_list_that_holds_it_is_older(state: State) -> None:
    take(state, user("a"), group("g", "a"), group("h"))
    take(state, EntryDeleted("a", "said so"), user("z"), extent=INCREMENTAL)

    outcome = take(state, named("b", "a"), extent=INCREMENTAL)
    with_its_list = take(state, named("b", "a"), group("g", "a"), extent=INCREMENTAL)

    assert "belongs to another entry now" in outcome.needs_full
    assert with_its_list.needs_full == ""
    assert people_in(state, "g") == {"b"}


def test_a_name_that_somebody_still_has_and_another_claims_needs_a_full_read(state: State) -> None:
    take(state, user("a"), user("c"), group("g", "c"))

    silent_move = take(state, named("b", "a"), extent=INCREMENTAL)
    swap = take(state, named("a", "c"), named("c", "a"), group("g", "c"), extent=INCREMENTAL)

    assert "the source did not say why" in silent_move.needs_full
    assert swap.needs_full == ""
    assert people_in(state, "g") == {"a"}


def test_where_even_a_full_read_does_not_bring_the_list_its_new_name_gives_nobody_access(state: State) -> None:
    take(state, user("a"), user("c"), group("g", "a", "c"))
    partial = ReadEnded(Completeness.PARTIAL, "the groups could not be read")
    take(state, named("a", "renamed"), named("b", "a"), user("c"), end=partial)

    with state.read() as connection:
        complete = connection.execute(select(entry.c.members_complete).where(entry.c.anchor == "g")).scalar()
    in_between = people_in(state, "g")
    take(state, named("a", "renamed"), named("b", "a"), user("c"), group("g", "renamed", "c"))

    assert (in_between, complete) == ({"c"}, False)
    assert people_in(state, "g") == {"a", "c"}
    assert members(state, "g") == {"uid=renamed,o=x", "uid=c,o=x"}


def test_increments_that_leave_nobody_need_a_full_read(state: State) -> None:
    take(state, user("a"), group("g", "a"))

    outcome = take(state, EntryDeleted("a", "said so"), extent=INCREMENTAL)

    assert outcome.needs_full == "it held people and now shows none"
    assert present(state) == {"a", "g"}


def test_a_full_read_that_was_due_is_owed_until_one_is_complete(state: State) -> None:
    owed = []
    for extent, completeness in (
        (Extent.FULL, Completeness.PARTIAL),
        (INCREMENTAL, Completeness.COMPLETE),
        (Extent.FULL, Completeness.FAILED),
        (Extent.FULL, Completeness.COMPLETE),
    ):
        events = [ReadStarted(extent, "server"), ReadEnded(completeness, checkpoint=Checkpoint("c"))]
        absorb(state, "corp", events, "f", full_due=extent is Extent.FULL)
        owed.append(owes_full_read(state, "corp"))

    assert owed == [True, True, True, False]


def test_a_full_read_that_nobody_had_asked_for_is_owed_too_once_it_was_not_complete(state: State) -> None:
    owed = []
    for completeness in (Completeness.FAILED, Completeness.PARTIAL, Completeness.COMPLETE):
        take(state, user("a"), end=ReadEnded(completeness))
        owed.append(owes_full_read(state, "corp"))

    assert owed == [False, True, False]


def test_a_stream_may_begin_again_as_a_full_one(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a"))

    outcome = take(state, user("a"), ReadStarted(Extent.FULL, "server"), user("a"), group("g", "a"), extent=INCREMENTAL)

    assert outcome.extent is Extent.FULL
    assert present(state) == {"a", "g"}


def test_an_increment_that_was_given_up_vouches_for_nobody_in_the_full_read_after_it(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a", "b"))

    given_up = EntriesListed(("a", "b", "g"))
    take(state, given_up, ReadStarted(Extent.FULL, "server"), user("a"), group("g", "a"), extent=INCREMENTAL)

    assert present(state) == {"a", "g"}


def test_of_two_entries_that_come_under_one_name_only_the_later_has_it(state: State) -> None:
    take(state, user("z"), group("g", "x"))

    take(state, named("one", "x"), named("two", "x"), extent=INCREMENTAL)

    assert people_in(state, "g") == {"two"}


def test_a_list_that_exchanged_a_name_for_one_that_nobody_has_keeps_it_until_everything_was_read_again(
    state: State,
) -> None:
    take(state, user("a"), user("b"), group("g", "a", "b"))

    take(state, user("a"), user("b"), group("g", "a", "renamed"))
    after_one, owed = people_in(state, "g"), owes_full_read(state, "corp")
    take(state, user("a"), user("b"), group("g", "a", "renamed"))

    assert (after_one, owed) == ({"a", "b"}, True)
    assert (people_in(state, "g"), owes_full_read(state, "corp")) == ({"a"}, False)


def test_an_increment_with_such_a_list_asks_for_a_full_read(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a", "b"))

    outcome = take(state, group("g", "a", "renamed"), extent=INCREMENTAL)

    assert "somebody new" in outcome.needs_full
    assert people_in(state, "g") == {"a", "b"}


def test_of_two_lists_in_one_read_the_later_counts(state: State) -> None:
    everybody = user("a"), user("b"), user("c")
    take(state, *everybody, group("g", "a", "b"))

    take(state, *everybody, group("g", "a", "c"), ReadStarted(Extent.FULL, "server"), group("g", "a", "b"))

    assert people_in(state, "g") == {"a", "b"}


def test_a_list_that_comes_twice_keeps_what_it_exchanged_for_a_name_that_nobody_has(state: State) -> None:
    everybody = user("a"), user("b")
    take(state, *everybody, group("g", "a", "b"))
    once = group("g", "a", "renamed")

    outcome = take(state, *everybody, once, ReadStarted(Extent.FULL, "server"), replace(once, attributes={"x": ("y",)}))

    assert outcome.again
    assert people_in(state, "g") == {"a", "b"}


def test_who_comes_back_after_the_source_had_taken_it_out_of_its_groups_is_in_those_that_list_it(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a", "b"))
    take(state, EntryDeleted("b", "said so", from_groups=True), extent=INCREMENTAL)
    without = people_in(state, "g")

    take(state, user("a"), user("b"), group("g", "a", "b"))

    assert without == {"a"}
    assert people_in(state, "g") == {"a", "b"}
