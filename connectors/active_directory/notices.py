"""Notices: that something changed about an entry, as told by DirSync or by uSNChanged, and what they come to.

A notice says little, and of entries that do not concern us as well. So what it names is looked up; but the members of
a group, which may be many, are taken from it where it has them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from connectors.active_directory.lookup import LookUp
from connectors.base import EntryDeleted, EntryFound, EntryUnreadable, MembersChanged, Name, NameKind, ReadEvent

_TOGETHER = 100  # entries looked up in one search


@dataclass(slots=True)
class Notice:
    """What was said of one entry.

    whole:   more may have changed than the notice tells
    added, removed:  values of its member list
    """

    whole: bool = False
    deleted: bool = False
    added: set[Name] = field(default_factory=set)
    removed: set[Name] = field(default_factory=set)


Notices = dict[str, Notice]  # by objectGUID


def settle(notices: Notices, look_up: LookUp, evidence: str) -> Generator[ReadEvent, None, bool]:
    """Yield what the notices come to; return whether anything but people and groups is among them.

    `evidence`: who told, for the audit trail. Raises ReadInterrupted and CheckpointRefused.
    """
    others = False
    # Somebody new may have the names of who was deleted.
    for some in _together([anchor for anchor, notice in notices.items() if notice.deleted]):
        yield from _settle_deleted(some, look_up, evidence)
    for some in _together([anchor for anchor, notice in notices.items() if not notice.deleted]):
        others |= yield from _settle_changed({anchor: notices[anchor] for anchor in some}, look_up, evidence)
    return others


def _together(anchors: list[str]) -> Iterator[list[str]]:
    return (anchors[start : start + _TOGETHER] for start in range(0, len(anchors), _TOGETHER))


def _settle_deleted(anchors: list[str], look_up: LookUp, evidence: str) -> Iterator[EntryDeleted]:
    foreign = look_up.deleted_foreign_principals(anchors)
    for anchor in anchors:
        # Groups list also who is outside of the bases: by the GUID, and a foreign principal by the SID.
        names = frozenset({Name(NameKind.GUID, anchor), *([foreign[anchor]] if anchor in foreign else [])})
        yield EntryDeleted(anchor, f"{evidence} shows its tombstone", from_groups=True, names=names)


def _settle_changed(notices: Notices, look_up: LookUp, evidence: str) -> Generator[ReadEvent, None, bool]:
    missing = dict(notices)
    for whole in (True, False):
        anchors = [anchor for anchor, notice in notices.items() if notice.whole is whole]
        for event in look_up.wanted(anchors, with_lists=whole):
            anchor = look_up.anchor_of(event)
            notice = missing.pop(anchor, None)
            if notice is not None and not whole and isinstance(event, EntryUnreadable):
                # Its members are told, whatever else of it cannot be understood.
                yield from _members_changed(anchor, notice)
            yield event
            if notice is not None and not whole and isinstance(event, EntryFound):
                yield from _members_changed(anchor, notice)
    outside = look_up.outside(list(missing))
    # Whoever moved in between the two looks was outside at the first and is inside now.
    for event in look_up.wanted([anchor for anchor, other in outside.items() if not other], with_lists=True):
        missing.pop(look_up.anchor_of(event), None)
        yield event
    for anchor in missing:
        if anchor in outside:
            yield EntryDeleted(anchor, f"{evidence} shows that it no longer answers to base and filter", exists=True)
    return any(outside.values())


def _members_changed(anchor: str, notice: Notice) -> Iterator[MembersChanged]:
    if notice.added or notice.removed:
        yield MembersChanged(anchor, frozenset(notice.added), frozenset(notice.removed))
