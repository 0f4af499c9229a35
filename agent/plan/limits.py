"""How much may be taken away, of users and groups in all and of each group's members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.settings import GroupGuardSettings, GuardSettings

# Tells by a group's normalised DN and its name whether a rule is about it.
Selects = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The limits of one group. `size`: how many members it has upstream."""

    members: int
    members_share: float
    members_from: int
    may_become_empty: bool

    def most(self, size: int) -> int:
        """Return how many members it may lose."""
        return size if size < self.members_from else max(self.members, int(self.members_share * size))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection."""

    general: GuardSettings = field(default_factory=GuardSettings)
    groups: tuple[tuple[Selects, GroupGuardSettings], ...] = ()

    def users(self, standing: int) -> int:
        """Return how many of `standing` active users may be deactivated or deleted."""
        return max(self.general.users, int(self.general.users_share * standing))

    def whole_groups(self, standing: int) -> int:
        """Return how many of `standing` groups may leave the scope."""
        return max(self.general.groups, int(self.general.groups_share * standing))

    def of_group(self, normalised_dn: str, name: str) -> GroupLimits:
        """Return the limits of a group: those of the first rule that names it, and the general ones beside."""
        general, rule = self.general, GroupGuardSettings()
        for selects, candidate in self.groups:
            if selects(normalised_dn, name):
                rule = candidate
                break
        # A number that is written for a group is meant for it, however small it is.
        members_from = general.members_from if rule.members is None else 0
        return GroupLimits(
            members=general.members if rule.members is None else rule.members,
            members_share=general.members_share if rule.members_share is None else rule.members_share,
            members_from=members_from if rule.members_from is None else rule.members_from,
            may_become_empty=general.may_become_empty if rule.may_become_empty is None else rule.may_become_empty,
        )
