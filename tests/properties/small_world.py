"""Two directories of a few people that change at will, and what they answer: all, a part, or nothing.

They know nothing of the agent but the contract of its connectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar

from connectors.base import (
    Checkpoint,
    Completeness,
    Entry,
    EntryDeleted,
    EntryFound,
    EntryKind,
    Extent,
    Finding,
    MemberList,
    Name,
    NameKind,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    SourceSettings,
    Wanted,
)

# People and groups by the source that holds them. Groups list people of either.
PEOPLE = {f"u{number}": "main" if number < 10 else "annex" for number in range(14)}
CIRCLES = {f"g{number}": "main" if number < 4 else "annex" for number in range(5)}
SOURCES = ("main", "annex")


def dn_of(key: str) -> str:
    """Return the DN of a person or a group."""
    return f"uid={key},o={PEOPLE[key]}" if key in PEOPLE else f"cn={key},o={CIRCLES[key]}"


@dataclass
class Human:
    """mail: empty where the directory has none. enabled: the account is in use."""

    uid: str
    mail: str
    enabled: bool = True


@dataclass
class Circle:
    """A group. members: uids of people and numbers of groups."""

    number: str
    name: str
    members: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Answer:
    """What a directory answers with.

    kind:  "whole"; "part", with the reason; "cut", where the end is missing; "raises"; "failed"; "nobody", where a
           full read ends well and has nothing; "half lists", where half the members of each group are left out
    keep:  of a hundred entries, how many come before it ends
    """

    kind: str = "whole"
    keep: int = 50


@dataclass
class World:
    """filtered: uids that the sources' filter leaves out. version: counts the changes; a checkpoint is one."""

    humans: dict[str, Human] = field(default_factory=dict)
    circles: dict[str, Circle] = field(default_factory=dict)
    filtered: frozenset[str] = frozenset()
    version: int = 0
    changed: dict[str, int] = field(default_factory=dict)  # what changed last when, by uid or number
    answers: dict[str, Answer] = field(default_factory=dict)  # of the sources that are in trouble

    def touch(self, *keys: str) -> None:
        """Something about these people or groups has changed."""
        self.version += 1
        self.changed |= dict.fromkeys(keys, self.version)

    def picture(self) -> tuple[dict[str, Human], dict[str, Circle], frozenset[str]]:
        """Return all there is, to be put back later."""
        return deepcopy((self.humans, self.circles, self.filtered))

    def put_back(self, picture: tuple[dict[str, Human], dict[str, Circle], frozenset[str]]) -> None:
        """Make the directories what they were: somebody undoes a mistake, under the same anchors."""
        before = {*self.humans, *self.circles}
        self.humans, self.circles, self.filtered = deepcopy(picture)
        self.touch(*sorted({*before, *self.humans, *self.circles}))

    def visible(self) -> dict[str, Human]:
        """Return the people whom the filter does not leave out."""
        return {uid: human for uid, human in self.humans.items() if uid not in self.filtered}

    def people_of(self, number: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """Return the uids of all members, those of nested groups too."""
        circle = self.circles.get(number)
        if circle is None or number in seen:
            return set()
        found: set[str] = set()
        for member in circle.members:
            found |= self.people_of(member, seen | {number}) if member in CIRCLES else {member}
        return found & self.visible().keys()

    def entries(self, source: str) -> dict[str, Entry]:
        """Return what a source holds, by uid or number."""
        found = {uid: _as_entry(human) for uid, human in self.visible().items() if PEOPLE[uid] == source}
        for number, circle in self.circles.items():
            if CIRCLES[number] == source:
                names = frozenset(Name(NameKind.DN, dn_of(member)) for member in circle.members)
                own = frozenset({Name(NameKind.DN, dn_of(number))})
                found[number] = Entry(
                    f"anchor-{number}", EntryKind.GROUP, dn_of(number), own, {"cn": (circle.name,)},
                    members=MemberList(names),
                )  # fmt: skip
        return found


def _as_entry(human: Human) -> Entry:
    attributes = {"uid": (human.uid,), "cn": (human.uid,)} | ({"mail": (human.mail,)} if human.mail else {})
    dn = dn_of(human.uid)
    names = frozenset({Name(NameKind.DN, dn)})
    return Entry(f"anchor-{human.uid}", EntryKind.USER, dn, names, attributes, active=human.enabled)


class WorldConnector:
    """Reads the source of its name in `world`, as it answers at that moment."""

    settings_type: ClassVar[type[SourceSettings]] = SourceSettings
    world: ClassVar[World]

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        """Return what a checkpoint depends on: the filter is part of it."""
        return f"{sorted(wanted.attributes)} {sorted(self.world.filtered)}"

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Read everything, or what has changed since."""
        world = self.world
        answer = world.answers.get(self.settings.name, Answer())
        full = wanted.full or since is None
        yield ReadStarted(Extent.FULL if full else Extent.INCREMENTAL, self.settings.name)
        everything = world.entries(self.settings.name)
        if answer.kind == "failed":
            yield ReadEnded(Completeness.FAILED, "it does not answer")
            return
        if answer.kind == "nobody" and full:
            yield ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint(str(world.version)))
            return
        after = int(since.token) if since and not full else -1
        keys = [key for key in sorted(everything) if world.changed.get(key, 0) > after]
        if answer.kind in {"part", "cut", "raises"}:
            keys = keys[: len(keys) * answer.keep // 100]
        for key in keys:
            yield EntryFound(_as_answered(everything[key], answer))
        if answer.kind == "raises":
            raise OSError("the connection broke")
        if answer.kind == "cut":
            return
        if not full:
            for key in sorted(key for key, version in world.changed.items() if version > after):
                if key not in everything and self.settings.name == (PEOPLE | CIRCLES)[key]:
                    yield EntryDeleted(f"anchor-{key}", "it said so", from_groups=True)
        if answer.kind == "part":
            yield ReadEnded(Completeness.PARTIAL, "a size limit")
            return
        yield ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint(str(world.version)))

    def check(self) -> Iterator[Finding]:
        """Tell that all is well."""
        yield Finding("world", ok=True, message="it is there")

    def close(self) -> None:
        """Nothing is open."""


def _as_answered(entry: Entry, answer: Answer) -> Entry:
    if answer.kind != "half lists" or entry.members is None:
        return entry
    names = sorted(entry.members.names, key=lambda name: name.value)
    return Entry(
        entry.anchor, entry.kind, entry.dn, entry.names, entry.attributes,
        members=MemberList(frozenset(names[: len(names) // 2]), complete=False),
    )  # fmt: skip
