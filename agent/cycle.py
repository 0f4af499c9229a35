"""One cycle: read, resolve, plan, guard, push. This page tells the product.

    sources ──read──▶ directory mirror ──scope, policy, mapping──▶ desired state
                                                                        │ difference = plan
    upstream ◀──push── guard ◀─────────────────────────────────────── ledger

Nothing here remembers work to do: after a crash at any instant the next cycle finds the same difference again.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from agent.connection import Connection
from agent.cycle_report import CycleReport, begin_cycle, record_cycle
from agent.directory.former_sources import let_go_of_doubles
from agent.directory.marks import mark_everything
from agent.directory.mirror import SourceOutcome, owes_full_read
from agent.directory.second_hand import forget_unlisted
from agent.notices import notices_of_cycle
from agent.observe.audit import AuditTrail, recover
from agent.observe.audit_record import Background
from agent.observe.progress import Progress
from agent.observe.telling import failure_told, tell_of_cycle
from agent.plan.approvals import approved, approver_of, remember_held, use_approval, void_approvals
from agent.plan.budget import spend
from agent.plan.difference import Difference, Retry
from agent.plan.guard import Verdict, judge
from agent.plan.leavers import note_groups_that_left
from agent.plan.operations import Operation
from agent.plan.plan import Plan, as_planned, draw_up, name_of
from agent.plan.settled import settle_marks
from agent.population.desired import settle
from agent.population.keys_due import sources_with_old_keys
from agent.population.persons import heirs_of_the_gone
from agent.restored_state import note_the_trail, take_up_what_was_made, was_restored
from agent.source_read import read_source
from agent.state.database import State
from agent.state.facts import read_fact, write_fact
from agent.upstream.accounts import judge_addresses, pass_on
from agent.upstream.brake import Brake
from agent.upstream.ledger import Ledger
from agent.upstream.observed_members import doubt_every_group
from agent.upstream.protected import note_guarded
from agent.upstream.push import Outcome, Push, PushReport, Result
from agent.upstream.rejections import try_the_refused_again

_FINGERPRINT = "connection fingerprint"
_RECONCILED = "reconciled fingerprint"
_RECONCILED_AT = "full reconciliation begun at"
_UPSTREAM = "address of the upstream"
_RESTORED = "restored"  # in the place of the fingerprint

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Resolved:
    """What stands before the push: how the reads went, the plan, and what the guard makes of it.

    everything:  all was compared, not only what changed
    restored:    the state is older than what was done with it
    """

    outcomes: tuple[SourceOutcome, ...]
    plan: Plan
    verdict: Verdict
    everything: bool
    restored: bool = False


def run_cycle(
    connection: Connection,
    state: State,
    *,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    full: bool = False,
    whichever_directory: bool = False,
    retry_at_once: bool = False,
) -> CycleReport:
    """Make the upstream equal to the directory, once.

    full:                 compare everything, not only what changed
    whichever_directory:  read in full whatever directory answers, though it be another than before, or an older one;
                          and take over that no group has members any more, if the last read told of that
    retry_at_once:        also what was rejected and whose next attempt is not due yet; what was refused for good only
                          together with `full`

    Returns what happened; trouble with a source, the upstream or single objects is part of the report. Raises
    RollcallError only when the state cannot be used.
    """
    stop, progress = stop or threading.Event(), progress or Progress()
    cycle_id, started, clock = uuid.uuid4().hex[:12], datetime.now(UTC), time.monotonic()
    with structlog.contextvars.bound_contextvars(cycle_id=cycle_id), failure_told(connection, state):
        log.info("cycle begins", full=full)
        begin_cycle(state, cycle_id, started)
        resolved = resolve(
            connection, state, stop=stop, progress=progress, full=full, whichever_directory=whichever_directory,
            retry_at_once=retry_at_once,
        )  # fmt: skip
        retry = _retry(full=full, at_once=retry_at_once)
        pushed = push(connection, state, resolved, cycle_id, stop, progress, retry=retry)
        with state.write() as transaction:
            notices = notices_of_cycle(transaction, connection)
            settle_marks(transaction, connection.locks, connection.grace)
        if not stop.is_set():
            notices += tell_of_cycle(connection, state, resolved.verdict, pushed)
        report = record_cycle(
            state,
            connection.population,
            cycle_id=cycle_id,
            started=started,
            seconds=time.monotonic() - clock,
            outcomes=resolved.outcomes,
            plan=resolved.plan,
            verdict=resolved.verdict,
            pushed=pushed,
            notices=notices,
            sources=[source.settings for source in connection.sources],
        )
        log.info("cycle ends", exit_code=int(report.exit_code), **report.counts)
    return report


def resolve(
    connection: Connection,
    state: State,
    *,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    full: bool = False,
    whichever_directory: bool = False,
    retry_at_once: bool = False,
    reconcile: bool = True,
) -> Resolved:
    """Do everything up to the push: read the sources, settle the desired state, draw up the plan, ask the guard.

    reconcile:  compare everything if the time for it has come
    """
    settled = settings_are_settled(connection, state)
    directory = connection.settings.agent.state_dir
    restored = reconcile and was_restored(state, directory)
    if restored:
        with state.write() as transaction:
            void_approvals(transaction)
            write_fact(transaction, _RECONCILED, _RESTORED)
            take_up_what_was_made(transaction, directory, connection.service.address_of, connection.source_names)
    if restored or not settled:
        with state.write() as transaction:
            # By the names that are known: the read may show that somebody has moved.
            note_guarded(transaction, connection.protection, everybody=True)
    everything = full or not settled or restored or (reconcile and _reconciliation_due(connection, state))
    outcomes = tuple(
        read_source(
            connection,
            state,
            source,
            stop or threading.Event(),
            progress or Progress(),
            full=everything,
            whichever_directory=whichever_directory,
        )
        for source in connection.sources
    )
    owing = {source.name for source in connection.sources if owes_full_read(state, source.name)}
    with state.write() as transaction:
        if not settled:
            try_the_refused_again(transaction)
        if everything:
            mark_everything(transaction)
            doubt_every_group(transaction)
            judge_addresses(transaction, connection.service.address_of, locks_profiles=connection.locks.profile)
            write_fact(transaction, _RECONCILED_AT, datetime.now(UTC).isoformat())
        # Before an account passes on: what protects it may be the name of the one that had it.
        note_guarded(transaction, connection.protection, everybody=False)
        for before, now in let_go_of_doubles(transaction, {source.name for source in connection.sources}):
            pass_on(transaction, before, now)
        for before, now in heirs_of_the_gone(transaction, connection.population.same_person):
            pass_on(transaction, before, now)
        if everything:
            forget_unlisted(transaction)
        awaited = sources_with_old_keys(transaction, connection.population.same_person, connection.source_names, owing)
        settle(transaction, connection.population, awaited)
        note_guarded(transaction, connection.protection, everybody=everything)
        note_groups_that_left(transaction)
        write_fact(transaction, _FINGERPRINT, connection.fingerprint)
        if not owing:
            write_fact(transaction, _RECONCILED, connection.fingerprint)
    plan = draw_up(difference_of(connection, state, _retry(full=full, at_once=retry_at_once)))
    return Resolved(outcomes, plan, guard(connection, state, outcomes, plan.removals), everything, restored)


def settings_are_settled(connection: Connection, state: State) -> bool:
    """Tell whether the desired state was worked out with the settings as they are now."""
    return read_fact(state, _FINGERPRINT) == connection.fingerprint


def difference_of(
    connection: Connection, state: State, retry: Retry = Retry.AT_ONCE, about: int | None = None
) -> Difference:
    """Return what would have to be done, as far as the state knows; `about`: for this user alone."""
    return Difference(
        state,
        retry=retry,
        locks=connection.locks,
        sources=connection.source_names,
        grace=connection.grace,
        about=about,
    )


def _retry(*, full: bool, at_once: bool) -> Retry:
    if full and at_once:
        return Retry.FOR_GOOD_TOO
    return Retry.AT_ONCE if at_once else Retry.WHEN_DUE


def _reconciliation_due(connection: Connection, state: State) -> bool:
    """Tell whether everything has to be compared again. It is in the state, so that restarts do not put it off."""
    last = read_fact(state, _RECONCILED_AT)
    return last is None or datetime.now(UTC) - datetime.fromisoformat(last) >= connection.settings.schedule.full_every


def guard(
    connection: Connection, state: State, outcomes: tuple[SourceOutcome, ...], removals: tuple[Operation, ...]
) -> Verdict:
    """Ask which of the removals of a plan may be carried out."""
    emptied = tuple(outcome.reason for outcome in outcomes if outcome.emptied)
    if not removals:
        return Verdict(emptied, final=True)
    with state.read() as reader:
        verdict = judge(reader, connection.limits, removals)
        if verdict.held and approved(reader, verdict.digest):
            verdict = replace(verdict, approved=True)
    if emptied:
        return Verdict((*emptied, *verdict.reasons), removals, final=True)
    reconciled = read_fact(state, _RECONCILED)
    if reconciled != connection.fingerprint:
        what = "the state was restored" if reconciled == _RESTORED else "the settings are new or have changed"
        reason = (
            f"{what}, and not every source has been read completely since. "
            "Removals wait for the first complete read of all sources."
        )
        return Verdict((reason, *verdict.reasons), removals, final=True)
    return verdict


def push(
    connection: Connection,
    state: State,
    resolved: Resolved,
    cycle_id: str,
    stop: threading.Event,
    progress: Progress,
    *,
    retry: Retry,
    about: int | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _outcome: None,
) -> PushReport:
    """Carry the plan out. Every acknowledgement is in the ledger and in the audit trail when this returns.

    about:  the number of the one user that the plan is about
    """
    plan, verdict = resolved.plan, resolved.verdict
    base = connection.service.base
    known_upstream = read_fact(state, _UPSTREAM) in {None, base}
    directory, audit = connection.settings.agent.state_dir, connection.settings.audit
    recover(state, directory, audit)
    ledger = Ledger(state)
    left_behind = about is None and bool(ledger.creates.left_behind())
    if plan.empty and not resolved.everything and known_upstream and not left_behind:
        return PushReport()
    let_through: dict[tuple[str, str], str] = {}
    with state.write() as transaction:
        if verdict.held and verdict.approved:
            approver = approver_of(transaction, verdict.digest)
            let_through = {name_of(removal): approver for removal in verdict.held}
        elif verdict.held:
            remember_held(transaction, verdict.digest, verdict.held)
    permitted = verdict.let_through(plan.removals)
    progress.planned(plan.operations)
    background = Background(cycle_id, resolved.outcomes, connection.population.scope.selection, let_through)
    with AuditTrail(state, directory, audit, background) as trail:

        def before_write(operation: Operation) -> None:
            if name_of(operation) in let_through:
                # From here on another approval is needed, though this agent be ended half way: what is left is
                # another plan.
                use_approval(state, verdict.digest)
            trail.before_write(operation)

        def done(outcome: Outcome) -> None:
            operation = outcome.operation
            if name_of(operation) in let_through:
                use_approval(state, verdict.digest)
            else:
                spend(state, operation, done=outcome.result is Result.DONE)
            trail.done(outcome)
            verb, label, result = operation.verb, operation.subject.label, str(outcome.result)
            log.info("pushed", verb=verb, label=label, result=result, detail=outcome.detail)
            progress.pushed(verb, label, result)
            on_outcome(outcome)

        brake = Brake(stop, alive=progress.alive, held=progress.throttled, waited=progress.waited)
        pushing = Push(connection.service, ledger, stop, done, brake, before_write=before_write)
        if known_upstream or pushing.recognise():
            with state.write() as transaction:
                write_fact(transaction, _UPSTREAM, base)
            if left_behind:
                pushing.look_for_what_was_left_behind()
            # Before the difference, which knows from the beginning what waits for its next attempt.
            if resolved.everything and pushing.look_at_accounts(
                asked=retry is Retry.FOR_GOOD_TOO, restored=resolved.restored
            ):
                with state.write() as transaction:
                    note_the_trail(transaction, directory)
        difference = difference_of(connection, state, retry, about)
        return pushing.run(as_planned(permitted, difference.operations), removals_allowed=bool(permitted))
