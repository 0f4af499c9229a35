"""Directories, settings, a service and an administrator who do anything, in any order: nobody is removed wrongly."""

from __future__ import annotations

import random
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.properties.claims import Claims
from tests.properties.installation import Installation, installed
from tests.properties.small_world import CIRCLES, PEOPLE, SOURCES, Answer, Circle, Human, World, WorldConnector, dn_of
from tests.servers.scim_service import ScimService

DOMAINS = ["example.com", "partner.example", "rival.example"]
TROUBLES = ["part", "cut", "raises", "failed", "nobody", "half lists"]
# So many machines of so many examples with so many steps each: 5,000 steps in all, and a cycle after every third.
MACHINES, EXAMPLES, STEPS = 4, 25, 50
_PACE = 3
_ENOUGH = 12

person, circle = st.sampled_from(sorted(PEOPLE)), st.sampled_from(sorted(CIRCLES))


class Company(RuleBasedStateMachine):
    """Every rule is one thing that happens. After each cycle it is asked who has lost what."""

    installation: ClassVar[Installation]

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        WorldConnector.world = self.world
        self.service = ScimService()
        self.stranger = self.service.add_user(userName="stranger@example.com", active=True)
        self.installation.begin(self.service)
        # The first address that u3 gets: there is an account for it already.
        there = self.service.add_user(userName="u3.4@example.com", active=True)
        self.claims = Claims(
            self.world, self.installation, self.service, not_ours=frozenset({self.stranger, there}),
            stranger=self.stranger,
        )  # fmt: skip
        self.mails = 0
        self.steps = 0
        self.picture = self.calm = self.world.picture()

    def teardown(self) -> None:
        self._ends_equal_to_the_directory()

    # --- what happens ------------------------------------------------------------------------------------------

    @initialize(members=st.lists(person, min_size=5, max_size=12, unique=True))
    def begins(self, members: list[str]) -> None:
        for uid in PEOPLE:
            self.hire(uid, "example.com")
        for number in ("g0", "g1", "g4"):
            self.found(number, "app-")
        for uid in ("u3", *members):
            self.join(uid, "g0")
            self.join(uid, "g1")
        for uid in members[:2]:
            self.join(uid, "g4")

    @rule(uid=person, domain=st.sampled_from(DOMAINS))
    def hire(self, uid: str, domain: str) -> None:
        if uid not in self.world.humans:
            self.world.humans[uid] = Human(uid, self._new_mail(uid, domain))
            self.world.touch(uid)

    @rule(uid=person)
    def leave_the_company(self, uid: str) -> None:
        if self.world.humans.pop(uid, None):
            self.world.touch(uid)
            self._strike_out(uid)

    @rule(uid=person)
    def enable_or_disable(self, uid: str) -> None:
        if human := self.world.humans.get(uid):
            human.enabled = not human.enabled
            self.world.touch(uid)

    @rule(uid=person, domain=st.sampled_from([*DOMAINS, ""]))
    def change_address(self, uid: str, domain: str) -> None:
        if human := self.world.humans.get(uid):
            human.mail = self._new_mail(uid, domain) if domain else ""
            self.world.touch(uid)

    @rule(one=person, other=person)
    def exchange_addresses(self, one: str, other: str) -> None:
        if one != other and one in self.world.humans and other in self.world.humans:
            a, b = self.world.humans[one], self.world.humans[other]
            a.mail, b.mail = b.mail, a.mail
            self.world.touch(one, other)

    @rule(number=circle, kind=st.sampled_from(["app-", "app-", "other-"]))
    def found(self, number: str, kind: str) -> None:
        if number not in self.world.circles:
            self.world.circles[number] = Circle(number, f"{kind}{number}")
            self.world.touch(number)

    @rule(number=circle)
    def dissolve(self, number: str) -> None:
        if self.world.circles.pop(number, None):
            self.world.touch(number)
            self._strike_out(number)

    @rule(number=circle, kind=st.sampled_from(["app-", "other-"]))
    def rename(self, number: str, kind: str) -> None:
        if group := self.world.circles.get(number):
            group.name = f"{kind}{number}"
            self.world.touch(number)

    @rule(uid=person, number=circle)
    def join(self, uid: str, number: str) -> None:
        if uid in self.world.humans and number in self.world.circles:
            self.world.circles[number].members.add(uid)
            self.world.touch(number)

    @rule(uid=person, number=circle)
    def leave(self, uid: str, number: str) -> None:
        if number in self.world.circles:
            self.world.circles[number].members.discard(uid)
            self.world.touch(number)

    @rule(inner=circle, outer=circle)
    def nest(self, inner: str, outer: str) -> None:
        if inner in self.world.circles and outer in self.world.circles:
            self.world.circles[outer].members ^= {inner}
            self.world.touch(outer)

    @rule(number=circle)
    def everybody_leaves(self, number: str) -> None:
        if number in self.world.circles:
            self.world.circles[number].members.clear()
            self.world.touch(number)

    @rule()
    def look(self) -> None:
        self.picture = self.world.picture()

    @rule()
    def undo(self) -> None:
        now = self.world.picture()
        self.world.put_back(self.picture)
        self.picture = now

    @rule(source=st.sampled_from(SOURCES), kind=st.sampled_from(TROUBLES), keep=st.integers(0, 100))
    def trouble(self, source: str, kind: str, keep: int) -> None:
        self.world.answers[source] = Answer(kind, keep)

    @rule()
    def end_of_trouble(self) -> None:
        self.world.answers.clear()

    @rule(hours=st.sampled_from([1, 12, 24, 24, 100]))
    def time_passes(self, hours: int) -> None:
        self.installation.let_time_pass(hours)
        self.claims.let_time_pass(hours)

    @rule(uid=person)
    def leave_for_good(self, uid: str) -> None:
        self.leave_the_company(uid)
        for hours in (0, 100):
            self.time_passes(hours)
            self.claims.watch(self.installation.run)

    # --- what an administrator does ------------------------------------------------------------------------------

    @rule(uids=st.frozensets(person, max_size=3))
    def edit_the_filter(self, uids: frozenset[str]) -> None:
        self.world.filtered = uids

    @rule(scope=st.sampled_from([["name:app-*"], ["name:app-g0"], ["name:app-*", "name:other-*"]]))
    def edit_the_scope(self, scope: list[str]) -> None:
        self.installation.scope = scope
        self.installation.connect()

    @rule(
        policy=st.sampled_from(["provision", "skip", "review"]),
        blocked=st.booleans(),
        withdrawal=st.sampled_from(["deactivate", "leave"]),
    )
    def edit_the_policy(self, policy: str, blocked: bool, withdrawal: str) -> None:
        self.installation.external = {"policy": policy, "withdrawal": withdrawal}
        if blocked:
            self.installation.external["blocked_domains"] = ["rival.example"]
        self.installation.connect()

    @rule(people=st.sets(person, max_size=2), groups=st.sets(circle, max_size=1))
    def protect(self, people: set[str], groups: set[str]) -> None:
        self.installation.guard["protected"] = [dn_of(key) for key in sorted(people | groups)]
        self.installation.connect()

    @rule(users=st.sampled_from(["never", "2d"]), groups=st.sampled_from(["never", "2d"]))
    def delete_leavers(self, users: str, groups: str) -> None:
        self.installation.leavers = {"delete_after": users, "delete_groups_after": groups}
        self.installation.connect()

    @rule()
    def approve_what_is_held(self) -> None:
        last = self.installation.last
        if last is not None and last.plan_digest:
            self.installation.approve(last.plan_digest)
            self.claims.approve()

    @rule()
    def a_mistake_is_approved_undone_and_made_again(self) -> None:
        if self.installation.last is None or not self.installation.last.plan_digest:
            return
        mistake = self.world.picture()
        self.approve_what_is_held()
        for picture in (mistake, self.calm, mistake):
            self.world.put_back(picture)
            for _ in range(2):
                self.claims.watch(self.installation.run)

    @rule()
    def back_up(self) -> None:
        self.installation.back_up()
        self.claims.back_up()

    @rule(trouble=st.sampled_from([None, "part", "failed"]), source=st.sampled_from(SOURCES))
    def restore(self, trouble: str | None, source: str) -> None:
        if self.installation.backed_up:
            self.installation.restore()
            self.claims.restore()
            if trouble:
                self.world.answers[source] = Answer(trouble)

    @rule(uid=person, number=circle, kind=st.sampled_from(TROUBLES))
    def restore_what_does_not_know_of_a_joiner(self, uid: str, number: str, kind: str) -> None:
        self.back_up()
        self.hire(uid, "example.com")
        self.join(uid, number)
        self.claims.watch(self.installation.run)
        self.restore(kind, CIRCLES[number])
        for _ in range(2):
            self.claims.watch(self.installation.run)

    # --- cycles ----------------------------------------------------------------------------------------------------

    @invariant()
    def every_few_steps_a_cycle_runs(self) -> None:
        self.steps += 1
        if self.steps % _PACE == 0:
            self.claims.watch(self.installation.run)
            last = self.installation.last
            if last is not None and last.counts["removals held"] == 0:
                self.calm = self.world.picture()

    @rule()
    def reconciliation(self) -> None:
        self.claims.watch(lambda: self.installation.run(full=True), full=True)

    @rule(number=st.integers(1, 40), status=st.sampled_from([400, 403, 404, 409, 500, 503]))
    def cycle_with_a_refusal(self, number: int, status: int) -> None:
        self.installation.transport.refuse_at = {number: status}
        self.claims.watch(self.installation.run)
        self.installation.transport.refuse_at = {}

    @rule(number=st.integers(1, 40), after=st.booleans())
    def cycle_that_breaks_off(self, number: int, after: bool) -> None:
        self.installation.transport.break_at, self.installation.transport.after = number, after
        self.claims.watch(self.installation.run)
        self.installation.transport.break_at = None

    def _ends_equal_to_the_directory(self) -> None:
        """Whatever has happened: when all goes well again, and what is held is approved, both are equal."""
        self.world.answers.clear()
        idle = 0
        for _ in range(_ENOUGH):
            before = self.claims.upstream()
            self.claims.watch(lambda: self.installation.run(full=True, by_hand=True), full=True)
            last = self.installation.last
            assert last is not None
            idle = 0 if last.plan_digest or before != self.claims.upstream() else idle + 1
            if idle > 1:
                break
            self.approve_what_is_held()
        else:
            raise AssertionError(f"there is no end to it: {last.sentences} {last.counts}")
        self.claims.equal_to_the_directory()

    # --- small things ------------------------------------------------------------------------------------------------

    def _strike_out(self, key: str) -> None:
        for number, group in self.world.circles.items():
            if key in group.members:
                group.members.discard(key)
                self.world.touch(number)

    def _new_mail(self, uid: str, domain: str) -> str:
        self.mails += 1
        return f"{uid}.{self.mails}@{domain}"


@pytest.mark.parametrize("machine", range(MACHINES))
def test_whatever_happens_nobody_is_removed_wrongly(machine: int, tmp_path: Path) -> None:
    """Five thousand steps, from the same seeds in every run."""
    _run_machine(tmp_path, machine, EXAMPLES)


@pytest.mark.slow_proof
def test_whatever_else_happens_nobody_is_removed_wrongly(tmp_path: Path) -> None:
    _run_machine(tmp_path, random.SystemRandom().randrange(1 << 32), 10 * EXAMPLES)


def _run_machine(directory: Path, number: int, examples: int) -> None:
    with installed(directory) as installation:
        Company.installation = installation
        run_state_machine_as_test(
            seed(number)(Company),
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
