"""What is asked after every cycle: who has lost what, and whether that was to be.

Who ought to stand upstream is worked out here anew, from people and groups as they are; and what may be taken away,
from what an administrator is told of the guard.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.properties.installation import GUARD, MANAGED, Installation
from tests.properties.small_world import CIRCLES, PEOPLE, World, dn_of
from tests.servers.scim_service import ScimService

Pair = tuple[str, str]  # a uid, and the number of a group

_ALL_IS_READ = {"whole", "half lists"}
# Of a source that never showed anybody, nobody may be all there is.
_PERHAPS_ALL_IS_READ = _ALL_IS_READ | {"nobody"}
_DAILY = 0.2


@dataclass(frozen=True)
class Upstream:
    """What stands in the service. `listed` are the members of the groups, `active` the people who can log on.

    accounts:  by SCIM id, whose they are
    groups:    by SCIM id, which they are
    """

    accounts: dict[str, str]
    groups: dict[str, str]
    active: frozenset[str]
    listed: frozenset[Pair]

    @property
    def access(self) -> frozenset[Pair]:
        """Who can use which group."""
        return frozenset(pair for pair in self.listed if pair[0] in self.active)

    def members(self, number: str) -> set[str]:
        """Return the members of a group."""
        return {uid for uid, group in self.listed if group == number}


@dataclass
class Budget:
    """A limit that fills up, and of which a part comes back every day."""

    limit: int
    level: float = 0.0

    def allows(self, number: int) -> bool:
        return number + self.level <= self.limit

    def take(self, number: int) -> None:
        self.level += number

    def let_time_pass(self, hours: int) -> None:
        self.level = max(0.0, self.level - max(self.limit, 1) * _DAILY * hours / 24)


@dataclass
class Claims:
    """What has to hold, and what of the past it depends on. Times are hours since the beginning."""

    world: World
    installation: Installation
    service: ScimService
    not_ours: frozenset[str]  # SCIM ids of accounts that were there before, and may be taken over but not deleted
    stranger: str
    now: int = 0
    approved_until: int | None = None
    reconciled: object = None
    reconciled_in_backup: object = None
    is_to_be: frozenset[Pair] = frozenset()  # who was to be in which group at every cycle since all was read
    inactive_since: dict[str, int] = field(default_factory=dict)
    users: Budget = field(default_factory=lambda: Budget(GUARD["users"]))
    groups: Budget = field(default_factory=lambda: Budget(GUARD["groups"]))
    members: dict[str, Budget] = field(default_factory=lambda: {n: Budget(GUARD["members"]) for n in CIRCLES})

    # --- what happens beside the cycles -------------------------------------------------------------------------

    def let_time_pass(self, hours: int) -> None:
        self.now += hours
        for budget in (self.users, self.groups, *self.members.values()):
            budget.let_time_pass(hours)

    def approve(self) -> None:
        self.approved_until = self.now + 24

    def back_up(self) -> None:
        self.reconciled_in_backup = self.reconciled

    def restore(self) -> None:
        """An older state does not know what has been taken away since."""
        self.reconciled = self.reconciled_in_backup
        for budget in (self.users, self.groups, *self.members.values()):
            budget.level = 0.0

    # --- a cycle ------------------------------------------------------------------------------------------------

    def watch(self, run: Callable[[], None], *, full: bool = False) -> None:
        """Run a cycle, and ask who has lost what that nobody was to lose. full: everything is read."""
        before = self.upstream()
        kinds = {answer.kind for answer in self.world.answers.values()}
        all_read, perhaps_all = kinds <= _ALL_IS_READ, kinds <= _PERHAPS_ALL_IS_READ
        if not perhaps_all and self.reconciled != self._settings():
            run()
            self._nothing_was_removed(before, self.upstream(), "the settings are new, and not all was read since")
        elif full and self._a_source_is_suddenly_empty(before):
            run()
            self._nothing_was_removed(before, self.upstream(), "a source shows nobody")
        else:
            run()
        after = self.upstream()
        told = frozenset(self._entitled())
        is_to_be = told if all_read else told & self.is_to_be
        self._nobody_lost_what_is_theirs(before, after, is_to_be)
        self._nothing_protected_was_touched(before, after)
        self._nothing_was_deleted_too_early(before, after, told)
        self._the_guard_let_no_more_through(before, after)
        assert len(after.accounts) == len(set(after.accounts.values())), "somebody has two accounts"
        assert self.service.users[self.stranger]["active"] is True, "a stranger's account was touched"
        self.is_to_be = is_to_be
        if perhaps_all:
            self.reconciled = self._settings()
        for scim_id, uid in after.accounts.items():
            if uid in after.active:
                self.inactive_since.pop(scim_id, None)
            else:
                self.inactive_since.setdefault(scim_id, self.now)

    def _nothing_was_removed(self, before: Upstream, after: Upstream, why: str) -> None:
        assert before.listed - after.listed == frozenset(), why
        assert before.active - after.active == frozenset(), why
        assert before.accounts.keys() - after.accounts.keys() == frozenset(), why
        assert before.groups.keys() - after.groups.keys() == frozenset(), why

    def _nobody_lost_what_is_theirs(self, before: Upstream, after: Upstream, is_to_be: frozenset[Pair]) -> None:
        lost = before.access - after.access
        assert lost & is_to_be == frozenset(), "a membership was taken from somebody who is to have it"
        out = before.active - after.active
        assert out & {uid for uid, _ in is_to_be} == set(), "somebody was deactivated who is to be in"

    def _nothing_protected_was_touched(self, before: Upstream, after: Upstream) -> None:
        if self.installation.last is None or int(self.installation.last.exit_code) == 2:
            return
        people = {uid for uid in PEOPLE if dn_of(uid) in self.installation.guard.get("protected", [])}
        assert (before.active - after.active) & people == set(), "somebody who is protected was deactivated"
        taken = before.listed - after.listed
        assert {pair for pair in taken if pair[0] in people} == set(), "somebody protected lost a membership"
        groups = {number for number in CIRCLES if dn_of(number) in self.installation.guard.get("protected", [])}
        assert {pair for pair in taken if pair[1] in groups} == set(), "a protected group lost a member"

    def _nothing_was_deleted_too_early(self, before: Upstream, after: Upstream, told: frozenset[Pair]) -> None:
        gone = before.accounts.keys() - after.accounts.keys()
        grace = self.installation.leavers.get("delete_after", "never")
        for scim_id in gone:
            assert grace != "never", "an account was deleted"
            assert scim_id not in self.not_ours, "an account was deleted that was there before"
            since = self.inactive_since.get(scim_id, self.now)
            assert self.now - since >= _hours(grace), "an account was deleted before its time"
            assert before.accounts[scim_id] not in {uid for uid, _ in told}, "somebody who is to be in was deleted"
        for scim_id in before.groups.keys() - after.groups.keys():
            number = before.groups[scim_id]
            assert self.installation.leavers.get("delete_groups_after", "never") != "never", "a group was deleted"
            assert before.members(number) == set(), "a group was deleted that had members"

    def _the_guard_let_no_more_through(self, before: Upstream, after: Upstream) -> None:
        out = len(before.active - after.active) + len(before.accounts.keys() - after.accounts.keys())
        left = {number: len(before.members(number) - after.members(number)) for number in CIRCLES}
        big = {number for number in CIRCLES if len(before.members(number)) >= GUARD["members_from"]}
        emptied = {number for number in CIRCLES if before.members(number) and not after.members(number)}
        dissolved = {number for number in emptied if not self._is_selected(number)}
        too_many = [
            *(["users"] if out and not self.users.allows(out) else []),
            *(["groups"] if dissolved and not self.groups.allows(len(dissolved)) else []),
            *(number for number in sorted(big) if left[number] and not self.members[number].allows(left[number])),
            *(f"all of {number}" for number in sorted(emptied - dissolved) if self._was_left_by_all(number)),
        ]
        if too_many:
            approved = self.approved_until is not None and self.now < self.approved_until
            assert approved, f"more was taken away than the guard lets through: {too_many}"
            self.approved_until = None
        elif self.installation.last is not None:
            self.users.take(out)
            self.groups.take(len(dissolved))
            for number in big:
                self.members[number].take(left[number])

    def _a_source_is_suddenly_empty(self, before: Upstream) -> bool:
        """Tell whether a source is going to show nobody, though somebody is there who stands upstream."""
        return any(
            answer.kind == "nobody" and any(PEOPLE[uid] == source for uid, _ in self._entitled() & before.access)
            for source, answer in self.world.answers.items()
        )

    def _was_left_by_all(self, number: str) -> bool:
        """Tell whether a group is selected and nobody is to be in it."""
        people = self.world.people_of(number)
        return self._is_selected(number) and not any(self.world.humans[uid].enabled for uid in people)

    # --- how it ends --------------------------------------------------------------------------------------------

    def equal_to_the_directory(self) -> None:
        """Ask whether everybody who is to be in is, and nobody else."""
        entitled, access = self._entitled(), self.upstream().access
        assert self.installation.last is not None
        sentences = self.installation.last.sentences
        # Somebody whose address belongs to another account, which nobody may take it from, is refused and told of.
        missing = {uid for uid, _ in entitled - access if not any(self.world.humans[uid].mail in s for s in sentences)}
        assert missing == set(), ("missing upstream", sentences)
        protected = set(self.installation.guard.get("protected", []))
        too_many = {
            (uid, number)
            for uid, number in access - entitled
            if dn_of(uid) not in protected and dn_of(number) not in protected and self._must_go(uid)
        }
        assert too_many == set(), ("still upstream", sentences)

    def _must_go(self, uid: str) -> bool:
        """Tell whether the directory and the policy want this person's surplus memberships gone."""
        human = self.world.visible().get(uid)
        if human is None:
            return True
        if not human.mail:
            return False
        external = not human.mail.endswith(f"@{MANAGED}")
        return not external or self.installation.external.get("policy", "provision") == "provision"

    # --- the pictures that are compared ---------------------------------------------------------------------------

    def _entitled(self) -> set[Pair]:
        """Return who is to be in which group, by the directory and the settings of now."""
        external = self.installation.external
        found: set[Pair] = set()
        for number in self.world.circles:
            for uid in self.world.people_of(number) if self._is_selected(number) else ():
                human = self.world.humans[uid]
                domain = human.mail.rpartition("@")[2]
                let_in = domain == MANAGED or external.get("policy", "provision") == "provision"
                blocked = domain in external.get("blocked_domains", [])
                if human.enabled and human.mail and let_in and not blocked:
                    found.add((uid, number))
        # Who once left external users out lets them in by a decision only, and nobody decides here.
        if self.installation.has_left_external_users_out():
            return {pair for pair in found if self.world.humans[pair[0]].mail.endswith(f"@{MANAGED}")}
        return found

    def _is_selected(self, number: str) -> bool:
        circle = self.world.circles.get(number)
        return circle is not None and any(_selects(pattern, circle.name) for pattern in self.installation.scope)

    def _settings(self) -> object:
        """Return what decides who is provisioned."""
        here = self.installation
        return repr((here.scope, here.external, here.guard.get("protected", []), sorted(self.world.filtered)))

    def upstream(self) -> Upstream:
        accounts = {scim_id: key for scim_id, user in self.service.users.items() if (key := self._key(scim_id, user))}
        return Upstream(
            accounts=accounts,
            groups={scim_id: _anchor(group) for scim_id, group in self.service.groups.items()},
            active=frozenset(key for scim_id, key in accounts.items() if self.service.users[scim_id].get("active")),
            listed=frozenset(
                (accounts[member["value"]], _anchor(group))
                for group in self.service.groups.values()
                for member in group.get("members", [])
                if member["value"] in accounts
            ),
        )

    def _key(self, scim_id: str, user: dict[str, Any]) -> str:
        """Return whose account it is: nobody's, as long as it is not taken over."""
        return "" if scim_id == self.stranger else _anchor(user)


def _anchor(resource: dict[str, Any]) -> str:
    return str(resource.get("externalId", "")).removeprefix("anchor-")


def _selects(pattern: str, name: str) -> bool:
    pattern = pattern.removeprefix("name:")
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def _hours(time: str) -> int:
    return int(time.removesuffix("d")) * 24
