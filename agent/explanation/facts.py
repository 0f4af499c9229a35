"""The facts that an explanation is made of. `--json` prints them under these names, so the names stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, and what to do. `provisioned`: active upstream, and meant to be."""

    provisioned: bool
    sentence: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several that WHO may mean. `anchor` is an exact way to ask for it."""

    kind: str
    dn: str
    source: str
    anchor: str
    present: bool
    matched_by: str


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """A source as it was last read. `reads`: the places, filters and classes by which somebody is in it."""

    name: str
    configured: bool
    completeness: str | None
    reason: str
    last_read_at: datetime | None
    last_complete_at: datetime | None
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CycleSeen:
    """The last cycle that ended."""

    cycle_id: str
    started_at: datetime
    ended_at: datetime
    exit_code: int
    removals_held: bool
    plan_digest: str


@dataclass(frozen=True, slots=True)
class EntrySeen:
    """One entry of the mirror.

    leads:       of a person with several entries, the one whose anchor is sent
    gone:        why it is not there any more; None: it is there
    unreadable:  why it stays as it was, whatever the source shows by now
    unread:      nothing was read of it since the state was restored
    """

    dn: str
    source: str
    kind: str
    anchor: str
    active: bool
    leads: bool
    gone: str | None
    unreadable: str | None
    unread: bool = False


@dataclass(frozen=True, slots=True)
class GroupPath:
    """How a selected group comes to somebody: the selected group first, then the groups in it, then the entry.

    by_primary_group:  the last group is the primary group of the entry, and does not list it
    out_of_sight:      the groups among them that no source shows any more; their last known members stay
    """

    groups: tuple[str, ...]
    dns: tuple[str, ...]
    entry: str
    by_primary_group: bool = False
    out_of_sight: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Membership:
    """A selected group that somebody is in, by the directory or upstream.

    lines:        of [scope] groups, that select it
    let_in:       the policy lets the membership stand upstream
    rule:         the line that decides so; empty for whoever is managed
    upstream:     it stands there, as far as is known; `in_doubt`: a change of it was begun and is not confirmed yet
    problem:      why the group itself cannot be pushed, or what the upstream said to it
    kept:         why somebody stays in it whom it does not list any more
    held:         that the guard holds removals from it, whose ever, and what to do
    """

    group: str
    dn: str
    lines: tuple[str, ...]
    listed: bool
    let_in: bool
    rule: str
    upstream: bool
    in_doubt: bool
    problem: str | None
    kept: str | None
    held: str | None


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """Managed or external, by which line, and who decided what."""

    address: str
    domain: str
    standing: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What an attribute of the directory holds, and in which source."""

    attribute: str
    values: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One SCIM attribute. An empty `result` is not sent."""

    attribute: str
    template: str
    result: str
    values: tuple[Value, ...]
    without_value: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MappingSeen:
    """What is sent, and how that compares with what the upstream acknowledged last."""

    attributes: tuple[Sent, ...]
    compared: str


@dataclass(frozen=True, slots=True)
class Account:
    """What the upstream holds, as far as it acknowledged."""

    scim_id: str
    user_name: str
    email: str
    active: bool
    origin: str
    acknowledged_at: datetime
    external: bool
    protected: bool
    guarded: bool
    deactivated_at: datetime | None
    unlinked_at: datetime | None
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FormerAccount:
    """An account whose place another one has taken, until it is in no group any more."""

    scim_id: str
    user_name: str
    replaced_at: datetime
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One record of the audit trail."""

    at: str
    verb: str
    object: str
    result: str
    detail: str
    cause: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the upstream refused, and when it is tried again. None: not before somebody asks for it.

    final:  the same would be refused again, so it is tried rarely
    """

    operation: str
    object: str
    reason: str
    attempts: int
    first_at: datetime
    next_attempt_at: datetime | None
    final: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the next cycle would do, and why. `waits`: what it waits for; None: it is done."""

    verb: str
    object: str
    why: str
    waits: str | None = None


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """What is known of a group. `held`: that the guard holds removals from it, and what to do."""

    name: str
    dn: str
    source: str
    anchor: str
    present: bool
    lines: tuple[str, ...]
    members: int
    unknown_members: int
    complete: bool
    scim_id: str | None
    members_upstream: int
    in_doubt: bool
    problem: str | None
    held: str | None


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A member that no source can name: in which lists it stands, where it points to, and what to do."""

    name: str
    listed_by: tuple[str, ...]
    selected_groups: tuple[str, ...]
    domain: str
    remedy: str
