"""What a read may do to the mirror."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from agent.directory.mirror import SourceOutcome, absorb, checkpoint_of, owes_full_read
from agent.state.database import State, open_state
from agent.state.tables import entry, mark, membership, metadata
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
    Name,
    NameKind,
    ReadEnded,
    ReadEvent,
    ReadStarted,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    yield opened
    opened.close()


def user(anchor: str) -> Entry:
    name = Name(NameKind.DN, f"uid={anchor},o=x")
    return Entry(anchor, EntryKind.USER, f"uid={anchor},o=x", frozenset({name}), {"mail": (f"{anchor}@x.example",)})


def group(anchor: str, *members: str, complete: bool = True) -> Entry:
    names = frozenset(Name(NameKind.DN, f"uid={member},o=x") for member in members)
    own = frozenset({Name(NameKind.DN, f"cn={anchor},o=x")})
    return Entry(anchor, EntryKind.GROUP, f"cn={anchor},o=x", own, {}, members=MemberList(names, complete=complete))


def take(
    state: State,
    *items: Entry | ReadEvent,
    extent: Extent = Extent.FULL,
    end: ReadEnded | None = ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint("c1")),  # noqa: B008 - frozen
    fingerprint: str = "f",
    source: str = "corp",
) -> SourceOutcome:
    def events() -> Iterator[ReadEvent]:
        yield ReadStarted(extent, "server")
        for item in items:
            yield EntryFound(item) if isinstance(item, Entry) else item
        if end is not None:
            yield end

    return absorb(state, source, events(), fingerprint)


def present(state: State) -> set[str]:
    with state.read() as connection:
        return set(connection.execute(select(entry.c.anchor).where(entry.c.present)).scalars())


def members(state: State, anchor: str) -> set[str]:
    with state.read() as connection:
        rows = connection.execute(
            select(membership.c.value).join(entry, entry.c.id == membership.c.group_id).where(entry.c.anchor == anchor)
        ).scalars()
        return set(rows)


def test_only_a_full_and_complete_read_proves_absence(state: State) -> None:
    everybody = {"a", "b", "g"}
    take(state, user("a"), user("b"), group("g", "a"))
    outcomes = []
    for extent, completeness in [
        (Extent.FULL, Completeness.PARTIAL),
        (Extent.FULL, Completeness.FAILED),
        (Extent.INCREMENTAL, Completeness.COMPLETE),
        (Extent.INCREMENTAL, Completeness.PARTIAL),
    ]:
        take(state, user("a"), group("g", "a"), extent=extent, end=ReadEnded(completeness))
        outcomes.append(present(state))
    gone = take(state, user("a"), group("g", "a"))

    assert outcomes == [everybody] * 4
    assert present(state) == {"a", "g"}
    assert gone.gone == 1


def test_a_stream_without_its_end_changes_nothing(state: State) -> None:
    take(state, user("a"), user("b"))

    outcome = take(state, user("a"), user("new"), end=None)

    assert outcome.completeness is Completeness.FAILED
    assert "stopped without saying that it had finished" in outcome.reason
    assert present(state) == {"a", "b"}


def test_a_read_that_failed_leaves_no_trace_even_in_what_it_had_seen(state: State) -> None:
    take(state, user("a"), user("b"))
    take(state, user("a"), end=ReadEnded(Completeness.FAILED, "broken"))

    outcome = take(state, user("a"), user("b"))

    assert outcome.gone == 0
    assert present(state) == {"a", "b"}


def test_what_the_source_says_it_deleted_is_gone_in_any_read(state: State) -> None:
    take(state, user("a"), user("b"))

    take(state, EntryDeleted("b", "syncrepl delete"), extent=Extent.INCREMENTAL)

    assert present(state) == {"a"}


def test_an_entry_that_cannot_be_understood_stays_as_it_was(state: State) -> None:
    take(state, user("a"), user("b"))

    outcome = take(state, user("a"), EntryUnreadable("uid=b,o=x", "broken text", "b"))

    assert present(state) == {"a", "b"}
    assert outcome.unreadable == ("uid=b,o=x: broken text",)


@pytest.mark.parametrize("kind", [EntryKind.USER, EntryKind.GROUP])
def test_a_source_that_suddenly_holds_nobody_or_no_group_is_not_believed(state: State, kind: EntryKind) -> None:
    take(state, user("a"), user("b"), group("g", "a"))

    left = [user("a"), user("b")] if kind is EntryKind.GROUP else [group("g", "a")]
    outcome = take(state, *left)

    assert outcome.emptied
    assert not outcome.proves_absence
    assert present(state) == {"a", "b", "g"}


def test_a_member_list_that_was_cut_short_adds_and_removes_nobody(state: State) -> None:
    take(state, user("a"), user("b"), group("g", "a"))

    take(state, user("a"), user("b"), group("g", "b", complete=False))
    cut = members(state, "g")
    take(state, user("a"), user("b"), group("g", "b"))

    assert cut == {"uid=a,o=x", "uid=b,o=x"}
    assert members(state, "g") == {"uid=b,o=x"}


@pytest.mark.parametrize("extent", Extent)
def test_the_checkpoint_comes_with_the_data_and_one_that_is_not_from_a_complete_read_is_not_gone_on_from(
    state: State, extent: Extent
) -> None:
    kept = []
    for completeness, number in (
        (Completeness.COMPLETE, 1),
        (Completeness.FAILED, 2),
        (Completeness.PARTIAL, 3),
        (Completeness.COMPLETE, 4),
    ):
        end = ReadEnded(completeness, checkpoint=Checkpoint(f"c{number}"))
        take(state, user("a"), extent=extent if completeness is Completeness.PARTIAL else Extent.FULL, end=end)
        kept.append((checkpoint_of(state, "corp", "f"), owes_full_read(state, "corp")))

    assert kept == [
        (Checkpoint("c1"), False),
        (Checkpoint("c1"), False),
        (Checkpoint("c3"), True),
        (Checkpoint("c4"), False),
    ]


def test_a_read_that_is_not_complete_and_hands_no_checkpoint_over_leaves_the_one_before(state: State) -> None:
    take(state, user("a"))

    take(state, user("a"), end=ReadEnded(Completeness.PARTIAL))
    same_settings, others = checkpoint_of(state, "corp", "f"), checkpoint_of(state, "corp", "new")
    take(state, user("a"), end=ReadEnded(Completeness.PARTIAL), fingerprint="new")

    assert (same_settings, others) == (Checkpoint("c1"), None)
    assert checkpoint_of(state, "corp", "new") is None


@pytest.mark.parametrize(
    ("extent", "item", "end"),
    [
        (Extent.FULL, user("new"), ReadEnded(Completeness.FAILED, "broken")),
        (Extent.FULL, EntryDeleted("b", "said so"), None),
        (Extent.INCREMENTAL, user("new"), ReadEnded(Completeness.FAILED, "broken")),
        (Extent.INCREMENTAL, EntryDeleted("a", "said so"), ReadEnded(Completeness.COMPLETE)),
    ],
)
def test_a_read_of_which_nothing_was_taken_tells_of_nothing_changed_or_gone(
    state: State, extent: Extent, item: Entry | ReadEvent, end: ReadEnded | None
) -> None:
    take(state, user("a"), group("g", "a"))

    # Listed and never sent: an increment with it needs a FULL read.
    outcome = take(state, item, EntriesListed(("unheard of",)), extent=extent, end=end)

    assert (outcome.changed, outcome.gone) == (0, 0)


def test_a_checkpoint_made_with_other_settings_is_not_used(state: State) -> None:
    take(state, user("a"), fingerprint="base one")

    assert checkpoint_of(state, "corp", "base two") is None


def test_a_crash_in_the_middle_of_a_read_leaves_data_and_checkpoint_as_they_were(state: State) -> None:
    take(state, user("a"))

    class Crash(BaseException):
        pass

    def events() -> Iterator[ReadEvent]:
        yield ReadStarted(Extent.FULL, "server")
        yield from (EntryFound(user(f"n{number}")) for number in range(1200))
        raise Crash

    with pytest.raises(Crash):
        absorb(state, "corp", events(), "f")

    assert present(state) == {"a"}
    assert checkpoint_of(state, "corp", "f") == Checkpoint("c1")


def test_an_unchanged_entry_is_not_marked_and_a_changed_one_is(state: State) -> None:
    take(state, user("a"), user("b"))
    with state.write() as connection:
        connection.execute(mark.delete())

    changed = replace(user("b"), attributes={"mail": ("new@x.example",)})
    outcome = take(state, user("a"), changed)

    with state.read() as connection:
        marked = connection.execute(select(entry.c.anchor).join(mark, mark.c.entry_id == entry.c.id)).scalars().all()
    assert marked == ["b"]
    assert outcome.changed == 1


def test_the_migrations_make_exactly_the_tables_of_the_code(state: State) -> None:
    with state.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
