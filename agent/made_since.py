"""What the records of the audit trail since a back-up amount to: what stands upstream by now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.plan.operations import (
    OUT_OF_USE,
    AddMembers,
    CreateGroup,
    CreateUser,
    DeleteGroup,
    DeleteUser,
    RetireAccount,
    UpdateGroup,
    UpdateUser,
)
from connectors.base import EntryKind

Record = dict[str, Any]
Key = tuple[EntryKind, str, str]

MADE = {CreateUser.verb: EntryKind.USER, CreateGroup.verb: EntryKind.GROUP}
# The account or group itself is changed. The records of everything else name its entry as it was called then.
_CHANGED = {UpdateUser.verb: EntryKind.USER, UpdateGroup.verb: EntryKind.GROUP}
_ENDED = {
    DeleteUser.verb: EntryKind.USER,
    RetireAccount.verb: EntryKind.USER,
    DeleteGroup.verb: EntryKind.GROUP,
}
_KINDS = MADE | _CHANGED | _ENDED
IN_USE = _CHANGED | {AddMembers.verb: EntryKind.GROUP}
_OUT_OF_USE = {*OUT_OF_USE, DeleteUser.verb, DeleteGroup.verb}


def is_sound(record: Record) -> bool:
    """Tell whether a record is of the form that the agent writes."""
    return all(isinstance(record.get(key), str) for key in ("verb", "source", "anchor", "label", "dn")) and isinstance(
        record.get("scim_id"), str | None
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What the trail says of today.

    made:    the create records of what was made and not deleted or let go of since, by the last create of each, with
             the name and the address of today
    in_use:  the last records of users and groups that were changed, and not taken out of use since
    names:   what groups that were not made since are called by now, by address and id
    """

    made: list[Record]
    in_use: list[Record]
    names: dict[tuple[str, str], str]


def what_stands(records: Iterable[Record]) -> Standing:
    """Go through the records. Ids of users and of groups may be the same, and so may those of two services."""
    made: dict[tuple[Key, str], Record] = {}
    in_use: dict[tuple[str, str], Record] = {}
    names: dict[tuple[str, str], str] = {}
    for record in records:
        verb, done = record["verb"], record.get("result") == "done"
        # Of an interrupted create nobody knows the id: the anchor stands for it. One that was there is of the account
        # which was to be replaced.
        lost = not record["scim_id"] or record.get("result") == "interrupted"
        if verb in IN_USE:
            in_use[record["source"], record["anchor"]] = record
        elif verb in _OUT_OF_USE and done:
            in_use.pop((record["source"], record["anchor"]), None)
        if (kind := _KINDS.get(verb)) is None:
            continue
        of = str(record.get("upstream") or "")
        this, begun = ((kind, "", record["scim_id"] or ""), of), ((kind, record["source"], record["anchor"]), of)
        if verb in MADE and lost:
            made[begun] = record | {"scim_id": ""}
        elif verb in MADE and done:
            made.pop(begun, None)
            made.pop(this, None)
            made[this] = record
        elif verb in _ENDED and done:
            made.pop(this, None)
        elif verb in _CHANGED and done and this in made:
            made[this] = made[this] | {key: record.get(key) for key in ("label", "address", "dn")}
        elif verb == UpdateGroup.verb and done:
            names[of, record["scim_id"]] = record["label"]
    return Standing(list(made.values()), list(in_use.values()), names)


def written_at(record: Record) -> datetime:
    """Return when a record was written; if it does not say so, long ago."""
    try:
        at = datetime.fromisoformat(str(record.get("at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
