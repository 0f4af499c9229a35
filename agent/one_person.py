"""One person now: the same steps as a cycle (agent/cycle.py), and pushed is what concerns this person alone."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import select

from agent.connection import Connection
from agent.cycle_report import begin_cycle
from agent.directory.mirror import SourceOutcome
from agent.errors import UsageProblem
from agent.explanation.who import Match, matches, readable
from agent.observe.progress import Progress
from agent.plan.guard import Verdict
from agent.plan.plan import draw_up
from agent.plan.settled import settle_marks
from agent.plan.waiting import Retry
from agent.planning import difference_of, guard, resolve, settings_are_settled
from agent.provision_report import ProvisionReport, counts_of, outcome_of, remember
from agent.pushing import push
from agent.restored_state import was_restored
from agent.state.database import State
from agent.state.tables import entry
from agent.upstream.push import Outcome, PushReport


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was done.

    found:     whom WHO means; nothing is done if that is not one
    outcomes:  how the reads went
    done:      what was pushed, or refused
    report:    what the state keeps of it
    """

    found: tuple[Match, ...]
    outcomes: tuple[SourceOutcome, ...]
    verdict: Verdict = field(default_factory=Verdict)
    done: tuple[Outcome, ...] = ()
    pushed: PushReport | None = None
    report: ProvisionReport | None = None


def provision(connection: Connection, state: State, who: str, stop: threading.Event, progress: Progress) -> Provisioned:
    """Read the sources, and make the upstream right for one person. Guards hold as in a cycle.

    Everybody else waits for the next cycle. Raises UsageProblem for a WHO that nobody can be called, and when the
    settings have changed since the last cycle, or the state was restored: then there is more to do than one person.
    """
    readable(who)
    if not settings_are_settled(connection, state):
        raise UsageProblem(
            "No cycle has run with these settings yet, so it is not known who is concerned. Run rollcall sync first."
        )
    if was_restored(state, connection.settings.agent.state_dir):
        raise UsageProblem(
            "The state knows less than the audit trail: it was restored from a back-up, or made anew. What was done "
            "since has to be found out about everybody. Run rollcall sync first."
        )
    resolved = resolve(connection, state, stop=stop, progress=progress, retry_at_once=True, reconcile=False)
    with state.read() as reader:
        found = tuple(matches(reader, connection.population, who))
    if len(found) != 1:
        return Provisioned(found, resolved.outcomes)
    number = found[0].number
    plan = draw_up(difference_of(connection, state, about=number))
    mine = replace(
        resolved, plan=plan, verdict=guard(connection, state, resolved.outcomes, plan.removals), everything=False
    )
    cycle_id, started, done = uuid.uuid4().hex[:12], datetime.now(UTC), list[Outcome]()
    begin_cycle(state, cycle_id, started)
    report = ProvisionReport(cycle_id, started, who.strip(), _dn_of(state, number))
    remember(state, report)
    pushed = push(
        connection, state, mine, cycle_id, stop, progress, retry=Retry.AT_ONCE, about=number, on_outcome=done.append
    )
    with state.write() as transaction:
        settle_marks(transaction, connection.locks, connection.grace)
    verdict = mine.verdict
    report = replace(
        report,
        ended_at=datetime.now(UTC),
        outcome=outcome_of(done, verdict, pushed),
        counts=counts_of(plan, done, verdict, pushed),
        final=verdict.stops and verdict.final,
    )
    remember(state, report)
    return Provisioned(found, resolved.outcomes, verdict, tuple(done), pushed, report)


def _dn_of(state: State, number: int) -> str:
    with state.read() as reader:
        return str(reader.execute(select(entry.c.dn).where(entry.c.id == number)).scalar_one())
