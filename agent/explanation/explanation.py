"""An explanation as a whole, and the document that `rollcall explain --json` prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.explanation.facts import (
    Account,
    Attempt,
    Candidate,
    CycleSeen,
    EntrySeen,
    FormerAccount,
    GroupPath,
    GroupSeen,
    MappingSeen,
    Membership,
    PolicySeen,
    Refusal,
    SourceSeen,
    Step,
    UnknownName,
    Verdict,
)


class Found(StrEnum):
    """What WHO turned out to be."""

    PERSON = "person"
    GROUP = "group"
    SEVERAL = "several"
    UNKNOWN_MEMBER = "unknown member"  # groups list it, and no source can name it
    UNREADABLE = "unreadable"  # a source shows it, and nobody can make sense of it
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say. What does not apply to what was found is empty.

    as_of:             the last cycle that ended
    read_at:           when a source was last read, in that cycle or since: what is told rests on that
    settings_changed:  since the cycle; rules and mapping are of today, everything else is of that cycle
    listed_by:         the groups that list a person, selected or not
    attempts_complete: no older records were left unread
    """

    who: str
    found: Found
    verdict: Verdict
    as_of: CycleSeen | None
    read_at: datetime | None
    settings_changed: bool
    sources: tuple[SourceSeen, ...]
    matched_by: str = ""
    candidates: tuple[Candidate, ...] = ()
    entries: tuple[EntrySeen, ...] = ()
    listed_by: tuple[str, ...] = ()
    paths: tuple[GroupPath, ...] = ()
    more_paths: int = 0
    memberships: tuple[Membership, ...] = ()
    policy: PolicySeen | None = None
    mapping: MappingSeen | None = None
    upstream: Account | None = None
    former_accounts: tuple[FormerAccount, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    attempts_complete: bool = True
    refusals: tuple[Refusal, ...] = ()
    next: tuple[Step, ...] = ()
    group: GroupSeen | None = None
    unknown_members: tuple[UnknownName, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the document, times in the form of ISO 8601."""
        document: dict[str, Any] = _plain(asdict(self))
        return document


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON knows
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
