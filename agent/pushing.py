"""The push of a cycle: what is sent, with its record in the audit trail, and what the guard and the budgets learn."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from agent.connection import Connection
from agent.observe.audit import AuditTrail, recover
from agent.observe.audit_record import Background
from agent.observe.progress import Progress
from agent.plan.approvals import approver_of, remember_held, use_approval
from agent.plan.budget import spend
from agent.plan.operations import Operation
from agent.plan.plan import as_planned, name_of
from agent.plan.waiting import Retry
from agent.planning import Resolved, difference_of
from agent.restored_state import everything_was_looked_at, installation_of
from agent.state.database import State
from agent.state.facts import read_fact, write_fact
from agent.upstream.brake import Brake
from agent.upstream.ledger import Ledger
from agent.upstream.push import Outcome, Push, PushReport, Result
from agent.upstream.service import NOTED_ADDRESS, plain_address

log = structlog.get_logger()


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
    base, noted = connection.service.base, read_fact(state, NOTED_ADDRESS)
    known_upstream = noted is None or plain_address(noted) == plain_address(base)
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
    background = Background(
        cycle_id,
        resolved.outcomes,
        connection.population.scope.selection,
        let_through,
        installation=installation_of(state),
        upstream=base,
    )
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
                write_fact(transaction, NOTED_ADDRESS, base)
            if left_behind:
                pushing.look_for_what_was_left_behind()
            # Before the difference, which knows from the beginning what waits for its next attempt.
            if resolved.everything and pushing.look_at_accounts(
                asked=retry is Retry.FOR_GOOD_TOO, restored=resolved.restored
            ):
                with state.write() as transaction:
                    everything_was_looked_at(transaction, restored=resolved.restored)
        difference = difference_of(connection, state, retry, about)
        return pushing.run(as_planned(permitted, difference.operations), removals_allowed=bool(permitted))
