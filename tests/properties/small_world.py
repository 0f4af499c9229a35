"""A directory of a few people that changes at will, and what it answers: all, a part, or nothing.

It knows nothing of the agent but the contract of its connectors. Who ought to stand upstream is worked out here anew,
from the people and groups as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
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

ANSWERS = ("whole", "whole", "whole", "part", "cut", "failed", "raises", "nobody", "half lists")


@dataclass
class Human:
    """mail: empty where the directory has none. enabled: the account is in use."""

    uid: str
    mail: str
    enabled: bool = True

    @property
    def dn(self) -> str:
        return f"uid={self.uid},o=world"

    def entry(self) -> Entry:
        attributes = {"uid": (self.uid,), "cn": (self.uid,)} | ({"mail": (self.mail,)} if self.mail else {})
        names = frozenset({Name(NameKind.DN, self.dn)})
        return Entry(f"anchor-{self.uid}", EntryKind.USER, self.dn, names, attributes, active=self.enabled)


@dataclass
class Circle:
    """A group. members: uids of people and names of groups."""

    number: str
    name: str
    members: set[str] = field(default_factory=set)

    @property
    def dn(self) -> str:
        return f"cn={self.number},o=world"


@dataclass
class World:
    """filtered: uids that the source's filter leaves out. version: counts the changes; the checkpoint is one."""

    humans: dict[str, Human] = field(default_factory=dict)
    circles: dict[str, Circle] = field(default_factory=dict)
    filtered: set[str] = field(default_factory=set)
    version: int = 0
    changed: dict[str, int] = field(default_factory=dict)  # what changed last when, by uid or number
    answer: str = "whole"
    keep: int = 50  # of a hundred entries, how many come where a part is answered

    def touch(self, key: str) -> None:
        self.version += 1
        self.changed[key] = self.version

    def visible(self) -> dict[str, Human]:
        return {uid: human for uid, human in self.humans.items() if uid not in self.filtered}

    def people_of(self, number: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """Return the uids of all members, those of nested groups too."""
        circle = self.circles.get(number)
        if circle is None or number in seen:
            return set()
        found: set[str] = set()
        for member in circle.members:
            found |= self.people_of(member, seen | {number}) if member in self.circles else {member}
        return found & self.visible().keys()

    def entries(self) -> dict[str, Entry]:
        found = {uid: human.entry() for uid, human in self.visible().items()}
        for number, circle in self.circles.items():
            names = frozenset(Name(NameKind.DN, self._dn(member)) for member in circle.members)
            own = frozenset({Name(NameKind.DN, circle.dn)})
            found[number] = Entry(
                f"anchor-{number}", EntryKind.GROUP, circle.dn, own, {"cn": (circle.name,)}, members=MemberList(names)
            )
        return found

    def _dn(self, member: str) -> str:
        return f"cn={member},o=world" if member.startswith("g") else f"uid={member},o=world"


class WorldConnector:
    """Reads `world`, as it answers at that moment."""

    settings_type: ClassVar[type[SourceSettings]] = SourceSettings
    world: ClassVar[World]

    def __init__(self, settings: SourceSettings) -> None:
        self.settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        return f"{sorted(wanted.attributes)} {sorted(self.world.filtered)}"

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        world = self.world
        full = wanted.full or since is None
        yield ReadStarted(Extent.FULL if full else Extent.INCREMENTAL, "world")
        everything = world.entries()
        if world.answer == "failed":
            yield ReadEnded(Completeness.FAILED, "it does not answer")
            return
        if world.answer == "nobody" and full:
            yield ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint(str(world.version)))
            return
        keys = sorted(everything)
        if not full:
            keys = [key for key in keys if world.changed.get(key, 0) > int(since.token if since else 0)]
        if world.answer in {"part", "cut", "raises"}:
            keys = keys[: len(keys) * world.keep // 100]
        for key in keys:
            yield EntryFound(self._as_answered(everything[key]))
        if world.answer == "raises":
            raise OSError("the connection broke")
        if world.answer == "cut":
            return
        if not full:
            gone = [key for key in world.changed if key not in everything]
            for key in sorted(gone):
                if world.changed[key] > int(since.token if since else 0):
                    yield EntryDeleted(f"anchor-{key}", "it said so", from_groups=True)
        if world.answer == "part":
            yield ReadEnded(Completeness.PARTIAL, "a size limit")
            return
        yield ReadEnded(Completeness.COMPLETE, checkpoint=Checkpoint(str(world.version)))

    def _as_answered(self, entry: Entry) -> Entry:
        if self.world.answer != "half lists" or entry.members is None:
            return entry
        some = frozenset(sorted(entry.members.names)[: len(entry.members.names) // 2])
        return Entry(
            entry.anchor, entry.kind, entry.dn, entry.names, entry.attributes,
            members=MemberList(some, complete=False),
        )  # fmt: skip

    def check(self) -> Iterator[Finding]:
        yield Finding("world", ok=True, message="it is there")

    def close(self) -> None:
        """Nothing is open."""
