"""Removals in words: their digest, their causes, and how two plans differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.plan.operations import DeactivateUser, DeleteGroup, Operation, RemoveMembers, RetireAccount

# Why somebody is deactivated who is there and enabled.
UNLISTED = "no longer a member of any selected group"


def goes_with_a_membership(removal: Operation) -> bool:
    """Tell whether whoever keeps a membership is spared this as well.

    That no group lists somebody, or that a policy or a rule of [same_person] does not want somebody there, is a matter
    of the membership that ends for it. Not so what the directory itself says: that the account is out of use. But
    whoever cannot be deactivated is let go by losing every membership.
    """
    if isinstance(removal, DeactivateUser):
        return removal.locked or not removal.out_of_use
    return isinstance(removal, RetireAccount)


def digest_of_removals(removals: Sequence[Operation]) -> str:
    """Name some removals in a few letters."""
    digest = hashlib.sha256()
    for removal in removals:
        digest.update(f"{removal.verb}:{removal.subject.entry_id}:{getattr(removal, 'digest', '')}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is taken away, and how much: people, memberships, groups; `of` is the group, where it is one."""

    text: str
    of: str = ""
    users: frozenset[int] = frozenset()
    memberships: int = 0
    whole: int = 0

    @property
    def sentence(self) -> str:
        """Say it to an administrator, the cause first."""
        where = f"group {self.of}: " if self.of else ""
        amounts = (
            (len(self.users), "user deactivated or deleted", "users deactivated or deleted"),
            (self.memberships, "membership removed", "memberships removed"),
            (self.whole, "group deleted", "groups deleted"),
        )
        told = [f"{number} {one if number == 1 else many}" for number, one, many in amounts if number]
        return f"{where}{self.text}: {', '.join(told)}"


def causes_of(removals: Iterable[Operation]) -> list[Cause]:
    """Group removals by their causes, the one that takes most first.

    Whoever is deactivated for being in no group any more is counted where the last memberships go: that is the cause.
    """
    memberships: dict[tuple[str, str], int] = {}
    users: dict[tuple[str, str], set[int]] = {}
    whole: dict[tuple[str, str], int] = {}
    lost_in: dict[int, tuple[str, str]] = {}
    leaving: list[Operation] = []
    for removal in removals:
        if not isinstance(removal, RemoveMembers):
            leaving.append(removal)
            continue
        for member in removal.members:
            key = (member.cause, removal.subject.label)
            memberships[key] = memberships.get(key, 0) + 1
            lost_in.setdefault(member.entry_id, key)
    for removal in leaving:
        cause, number = str(getattr(removal, "cause", "")), removal.subject.entry_id
        if removal.verb == "delete group":
            whole[cause, ""] = whole.get((cause, ""), 0) + 1
            continue
        known = lost_in.get(number) if isinstance(removal, DeactivateUser) and cause == UNLISTED else None
        users.setdefault(known or (cause, ""), set()).add(number)
    found = [
        Cause(
            text=key[0],
            of=key[1],
            users=frozenset(users.get(key, ())),
            memberships=memberships.get(key, 0),
            whole=whole.get(key, 0),
        )
        for key in {*memberships, *users, *whole}
    ]
    return sorted(found, key=lambda cause: (-len(cause.users), -cause.memberships, cause.of, cause.text))


def cause_of(operation: Operation) -> str:
    """Say why an operation is carried out."""
    if isinstance(operation, RemoveMembers):
        return "; ".join(sorted({member.cause for member in operation.members}))
    return str(getattr(operation, "cause", "")) or "directory differs from upstream"


def in_words(removals: Iterable[Operation], names: Mapping[str, str]) -> list[str]:
    """Return one line for each person, membership or group that is taken away. names: user names by SCIM id."""
    lines = []
    for removal in removals:
        if isinstance(removal, RemoveMembers):
            lines += [
                f"remove {names.get(member.scim_id, member.scim_id)} from group {removal.subject.label}"
                for member in removal.members
            ]
        else:
            lines.append(f"{removal.verb} {removal.subject.label}")
    return sorted(lines)


def amount_of(removals: Iterable[Operation]) -> str:
    """Say how much some removals take away, for people."""
    users, memberships, groups = set[int](), 0, 0
    for removal in removals:
        if isinstance(removal, RemoveMembers):
            memberships += len(removal.members)
        elif isinstance(removal, DeleteGroup):
            groups += 1
        else:
            users.add(removal.subject.entry_id)
    told = [
        f"{number} {one if number == 1 else many}"
        for number, one, many in (
            (memberships, "membership", "memberships"),
            (len(users), "user", "users"),
            (groups, "group", "groups"),
        )
        if number
    ]
    return " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else "".join(told)
