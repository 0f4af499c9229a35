"""A directory, settings, a service and an administrator who do anything, in any order: nobody is removed wrongly."""

from __future__ import annotations

import logging
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from agent.connection import Connection, connect
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.plan.approvals import approve
from agent.plugins import Source
from agent.state.database import open_state
from agent.upstream.brake import Brake
from connectors.base import SourceSettings
from tests.properties.service_in_memory import Broken, InMemory
from tests.properties.small_world import ANSWERS, Circle, Human, World, WorldConnector
from tests.servers.scim_service import ScimService

PEOPLE = [f"u{number}" for number in range(14)]
CIRCLES = [f"g{number}" for number in range(5)]
DOMAINS = ["example.com", "partner.example", "rival.example"]
# 4 machines of so many examples with so many steps each: 5,000 steps in all.
MACHINES, EXAMPLES, STEPS = 4, 25, 50

person, circle = st.sampled_from(PEOPLE), st.sampled_from(CIRCLES)


class Company(RuleBasedStateMachine):
    """Every rule is one thing that happens. After each cycle it is asked who has lost what."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="rollcall-property-"))
        self.world = World()
        WorldConnector.world = self.world
        self.service = ScimService()
        self.stranger = self.service.add_user(userName="stranger@example.com", active=True)
        self.transport = InMemory(self.service)
        self.mails = 0
        self.last: CycleReport | None = None
        self.restored = False
        self.guard: dict[str, Any] = {"users": 2, "users_share": "20%", "members": 2, "members_from": 4, "groups": 1}
        self.external: dict[str, Any] = {}
        self.scope = ["name:app-*"]
        self.connection = self._connect()

    def teardown(self) -> None:
        try:
            self._ends_equal_to_the_directory()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- what happens ------------------------------------------------------------------------------------------

    @initialize(members=st.lists(person, min_size=4, max_size=10, unique=True))
    def begins(self, members: list[str]) -> None:
        for uid in PEOPLE[:10]:
            self.hire(uid, "example.com")
        for number in CIRCLES[:3]:
            self.found(number, "app-")
        for uid in members:
            self.join(uid, "g0")
            self.join(uid, "g1")

    @rule(uid=person, domain=st.sampled_from(DOMAINS))
    def hire(self, uid: str, domain: str) -> None:
        if uid not in self.world.humans:
            self.world.humans[uid] = Human(uid, self._new_mail(uid, domain))
            self.world.touch(uid)

    @rule(uid=person)
    def leave_the_company(self, uid: str) -> None:
        if self.world.humans.pop(uid, None):
            self.world.touch(uid)
            for number, group in self.world.circles.items():
                if uid in group.members:
                    group.members.discard(uid)
                    self.world.touch(number)

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
            self.world.touch(one)
            self.world.touch(other)

    @rule(number=circle, kind=st.sampled_from(["app-", "app-", "other-"]))
    def found(self, number: str, kind: str) -> None:
        if number not in self.world.circles:
            self.world.circles[number] = Circle(number, f"{kind}{number}")
            self.world.touch(number)

    @rule(number=circle)
    def dissolve(self, number: str) -> None:
        if self.world.circles.pop(number, None):
            self.world.touch(number)
            for other, group in self.world.circles.items():
                if number in group.members:
                    group.members.discard(number)
                    self.world.touch(other)

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

    # --- what an administrator does ------------------------------------------------------------------------------

    @rule(uids=st.sets(person, max_size=3))
    def edit_the_filter(self, uids: set[str]) -> None:
        self.world.filtered = uids

    @rule(scope=st.sampled_from([["name:app-*"], ["name:app-g0"], ["name:app-*", "name:other-*"]]))
    def edit_the_scope(self, scope: list[str]) -> None:
        self.scope = scope
        self.connection = self._connect()

    @rule(
        policy=st.sampled_from(["provision", "skip", "review"]),
        blocked=st.booleans(),
        withdrawal=st.sampled_from(["deactivate", "leave"]),
    )
    def edit_the_policy(self, policy: str, blocked: bool, withdrawal: str) -> None:
        self.external = {"policy": policy, "withdrawal": withdrawal}
        if blocked:
            self.external["blocked_domains"] = ["rival.example"]
        self.connection = self._connect()

    @rule(protected=st.sets(person, max_size=2))
    def protect(self, protected: set[str]) -> None:
        self.guard["protected"] = [f"uid={uid},o=world" for uid in sorted(protected)]
        self.connection = self._connect()

    @rule()
    def approve_what_is_held(self) -> None:
        if self.last is not None and self.last.plan_digest:
            with closing(open_state(self.directory)) as state, state.write() as transaction:
                valid = self.connection.settings.guard.approval_valid
                approve(transaction, self.last.plan_digest, "somebody", valid)

    @rule()
    def back_up(self) -> None:
        if (self.directory / "rollcall.sqlite3").exists():
            self._copy("rollcall.sqlite3", "backup.sqlite3")

    @rule()
    def restore(self) -> None:
        if not (self.directory / "backup.sqlite3").exists():
            return
        for leftover in ("rollcall.sqlite3-wal", "rollcall.sqlite3-shm"):
            (self.directory / leftover).unlink(missing_ok=True)
        self._copy("backup.sqlite3", "rollcall.sqlite3")
        self.restored = True

    # --- cycles ----------------------------------------------------------------------------------------------------

    @rule(answer=st.sampled_from(ANSWERS), keep=st.integers(0, 100), full=st.booleans())
    def cycle(self, answer: str, keep: int, full: bool) -> None:
        self.world.answer, self.world.keep = answer, keep
        self._watched(lambda: self._run(full=full))

    @rule(number=st.integers(1, 40), status=st.sampled_from([400, 403, 404, 409, 500, 503]))
    def cycle_with_a_refusal(self, number: int, status: int) -> None:
        self.world.answer = "whole"
        self.transport.refuse_at = {number: status}
        self._watched(self._run)
        self.transport.refuse_at = {}

    @rule(number=st.integers(1, 40), after=st.booleans())
    def cycle_that_breaks_off(self, number: int, after: bool) -> None:
        self.world.answer = "whole"
        self.transport.break_at, self.transport.after = number, after
        self._watched(self._run)
        self.transport.break_at = None

    # --- what is asked after each ----------------------------------------------------------------------------------

    def _watched(self, run: Callable[[], None]) -> None:
        """Run a cycle, and ask who has lost what that nobody was to lose."""
        before, active_before = self._memberships(), self._active()
        names = self._names()
        approved = self._approved()
        run()
        after, active_after = self._memberships(), self._active()
        entitled = self._entitled()
        lost = {pair for pair in before - after if pair in entitled}
        assert lost == set(), "a membership was taken from somebody who is to have it"
        people = {uid for uid, _ in entitled}
        out = active_before - active_after
        assert out & people == set(), "somebody was deactivated who is to be in"
        protected = {line.removeprefix("uid=").partition(",")[0] for line in self.guard.get("protected", [])}
        if self._settings_were_believed():
            assert out & protected == set(), "somebody who is protected was deactivated"
            taken = {pair for pair in before - after if pair[0] in protected}
            assert taken == set(), "a membership was taken from somebody who is protected"
        assert set(names) <= set(self._names()), "an account was deleted"
        if not approved:
            limit = max(2, int(0.2 * len(active_before)))
            assert len(out) <= limit, "more were deactivated than the guard lets through"
            for number in {number for _, number in before}:
                had, has = ({uid for uid, group in pairs if group == number} for pairs in (before, after))
                selected = number in self.world.circles and self._is_selected(number)
                if selected and len(had) >= self.guard["members_from"]:
                    most = max(2, int(0.2 * len(had)))
                    assert len(had - has) <= most, "a group lost more members than the guard lets through"
        stranger = self.service.users[self.stranger]
        assert stranger["active"] is True, "a stranger's account was touched"

    def _settings_were_believed(self) -> bool:
        return self.last is not None and int(self.last.exit_code) != 2

    def _ends_equal_to_the_directory(self) -> None:
        """Whatever has happened: when all goes well again, and what is held is approved, both are equal."""
        self.world.answer = "whole"
        idle = 0
        while idle < 3:
            self._watched(lambda: self._run(full=True, by_hand=True))
            assert self.last is not None
            idle = 0 if self.last.plan_digest or self.last.counts["writes"] else idle + 1
            if self.last.plan_digest:
                self.approve_what_is_held()
        entitled = self._entitled()
        ours = self._memberships()
        missing = entitled - ours
        assert missing == set(), (missing, self.last and self.last.sentences)
        protected = {line.removeprefix("uid=").partition(",")[0] for line in self.guard.get("protected", [])}
        too_many = {(uid, number) for uid, number in ours - entitled if uid not in protected and self._must_go(uid)}
        # An older state does not know whom a later one has created, who is gone from the directory by now.
        if not self.restored:
            assert too_many == set(), (too_many, self.last and self.last.sentences)

    def _must_go(self, uid: str) -> bool:
        """Whether the directory and the policy want this person's surplus memberships gone."""
        human = self.world.visible().get(uid)
        if human is None:
            return True
        if not human.mail:
            return False
        external = not human.mail.endswith("@example.com")
        return not external or self.external.get("policy", "provision") == "provision"

    # --- the pictures that are compared ------------------------------------------------------------------------------

    def _entitled(self) -> set[tuple[str, str]]:
        """Return who is to be in which group, by uid and number, by the directory and the settings of now."""
        found: set[tuple[str, str]] = set()
        for number in self.world.circles:
            if not self._is_selected(number):
                continue
            for uid in self.world.people_of(number):
                human = self.world.humans[uid]
                domain = human.mail.rpartition("@")[2]
                let_in = domain == "example.com" or self.external.get("policy", "provision") == "provision"
                blocked = domain in self.external.get("blocked_domains", [])
                if human.enabled and human.mail and let_in and not blocked:
                    found.add((uid, number))
        return {pair for pair in found if self._gate_is_open() or self._is_managed(pair[0])}

    def _is_managed(self, uid: str) -> bool:
        return self.world.humans[uid].mail.endswith("@example.com")

    def _gate_is_open(self) -> bool:
        """A connection that left external users out once lets them in by a decision only, and nobody decides here."""
        path = self.directory / "rollcall.sqlite3"
        if not path.exists():
            return True
        with closing(sqlite3.connect(path)) as connection:
            query = "select 1 from fact where name = 'external users last left out at'"
            return connection.execute(query).fetchone() is None

    def _is_selected(self, number: str) -> bool:
        return any(self._selects(pattern, self.world.circles[number].name) for pattern in self.scope)

    @staticmethod
    def _selects(pattern: str, name: str) -> bool:
        pattern = pattern.removeprefix("name:")
        return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))

    def _memberships(self) -> set[tuple[str, str]]:
        """Return who is active in which group upstream, by uid and number."""
        people = {scim_id: user for scim_id, user in self.service.users.items() if user.get("active")}
        return {
            (self._key(people[member["value"]]), self._key(group))
            for group in self.service.groups.values()
            for member in group.get("members", [])
            if member["value"] in people
        }

    def _active(self) -> set[str]:
        return {self._key(user) for user in self.service.users.values() if user.get("active")}

    def _names(self) -> set[str]:
        return set(self.service.users)

    @staticmethod
    def _key(resource: dict[str, Any]) -> str:
        return str(resource.get("externalId", "")).removeprefix("anchor-")

    def _approved(self) -> bool:
        path = self.directory / "rollcall.sqlite3"
        if not path.exists():
            return False
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("select 1 from approval where used_at is null").fetchone() is not None

    # --- the machinery ---------------------------------------------------------------------------------------------

    def _run(self, *, full: bool = False, by_hand: bool = False) -> None:
        """by_hand: as `rollcall sync --full`, which also believes what was told before."""
        self.transport.begin()
        state = open_state(self.directory)
        try:
            self.last = run_cycle(
                self.connection, state, full=full, retry_at_once=True, whichever_directory=by_hand and full
            )
        except Broken:
            self.last = None
        finally:
            state.close()

    def _connect(self) -> Connection:
        (self.directory / "token").write_text("token")
        (self.directory / "agent.toml").write_text(self._toml())
        connection = connect(self.directory / "agent.toml")
        source = Source(SourceSettings(name="world", connector="world"), WorldConnector)
        service = replace(connection.service, transport=lambda: self.transport)
        return replace(connection, sources=(source,), service=service)

    def _toml(self) -> str:
        def written(value: object) -> str:
            if isinstance(value, list):
                return "[" + ", ".join(f'"{item}"' for item in value) + "]"
            return str(value) if isinstance(value, int) else f'"{value}"'

        sections = {
            "agent": {"state_dir": str(self.directory)},
            "upstream": {
                "url": "http://127.0.0.1:1/scim/v2", "token_file": str(self.directory / "token"), "workers": 1,
                "attempts": 1,
            },
            "scope": {"groups": self.scope},
            "external": {"managed_domains": ["example.com"]} | self.external,
            "guard": self.guard,
        }  # fmt: skip
        lines = ["[[sources]]", 'name = "world"', 'connector = "ldif"', 'file = "/nowhere"']
        for name, values in sections.items():
            lines += [f"[{name}]", *(f"{key} = {written(value)}" for key, value in values.items())]
        return "\n".join(lines)

    def _new_mail(self, uid: str, domain: str) -> str:
        self.mails += 1
        return f"{uid}.{self.mails}@{domain}"

    def _copy(self, before: str, now: str) -> None:
        with (
            closing(sqlite3.connect(self.directory / before)) as source,
            closing(sqlite3.connect(self.directory / now)) as target,
        ):
            source.backup(target)


@pytest.mark.slow_proof
@pytest.mark.parametrize("machine", range(MACHINES))
def test_whatever_happens_nobody_is_removed_wrongly(machine: int) -> None:
    """Five thousand steps, from the same seeds in every run."""
    _run_machine(machine, EXAMPLES)


@pytest.mark.slow_proof
def test_whatever_else_happens_nobody_is_removed_wrongly() -> None:
    _run_machine(random.SystemRandom().randrange(1 << 32), 10 * EXAMPLES)


def _run_machine(number: int, examples: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    patience = pytest.MonkeyPatch()  # to wait for a service that asks for it is not what this is about
    for name in ("pause", "hold"):
        patience.setattr(Brake, name, lambda _brake, _seconds: None)
    try:
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
    finally:
        patience.undo()
        structlog.reset_defaults()
