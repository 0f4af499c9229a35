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
from datetime import UTC, datetime

import structlog

from agent.connection import Connection
from agent.could_not_run import remembered
from agent.cycle_report import CycleReport, begin_cycle, record_cycle
from agent.notices import notices_of_cycle
from agent.observe.progress import Progress
from agent.observe.telling import failure_told, tell_of_cycle
from agent.plan.settled import settle_marks
from agent.planning import resolve, retry_of
from agent.pushing import push
from agent.state.database import State

log = structlog.get_logger()


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
    with (
        structlog.contextvars.bound_contextvars(cycle_id=cycle_id),
        failure_told(connection, state),
        remembered(state),
    ):
        log.info("cycle begins", full=full)
        begin_cycle(state, cycle_id, started)
        resolved = resolve(
            connection, state, stop=stop, progress=progress, full=full, whichever_directory=whichever_directory,
            retry_at_once=retry_at_once,
        )  # fmt: skip
        retry = retry_of(full=full, at_once=retry_at_once)
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
            configuration=connection.service.configuration,
            sources=[source.settings for source in connection.sources],
        )
        log.info("cycle ends", exit_code=int(report.exit_code), **report.counts)
    return report
