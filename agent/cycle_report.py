"""What a cycle did, as the commands print it and as the state keeps it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Select, delete, func, or_, select, update

from agent.command_line import rollcall
from agent.could_not_run import one_has_run
from agent.directory.mirror import SourceOutcome
from agent.directory.unknown import any_unknown, unknown_members
from agent.directory.unread import unread_in
from agent.errors import ExitCode, UpstreamError
from agent.plan.guard import Verdict
from agent.plan.plan import Plan
from agent.plan.removals import amount_of
from agent.population.desired import Population, unmatched_groups
from agent.restored_state import KNOWN_END
from agent.state.database import State, upsert
from agent.state.facts import fact_of, write_fact
from agent.state.tables import cycle, desired_group, desired_user, entry, rejected
from agent.state.vouched import note_time, vouched_time
from agent.upstream.push import PushReport
from connectors.base import Completeness, Extent, SourceSettings

_KEPT = timedelta(days=90)
_SHOWN = 100
_DOMAINS_SHOWN = 20
_UNKNOWN = "unknown members"


@dataclass(frozen=True, slots=True)
class CycleReport:
    """One cycle in figures and sentences.

    sentences:  what an administrator has to know, worst first
    notices:    what is good to know and no trouble: the exit code does not tell of it
    """

    cycle_id: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    exit_code: ExitCode
    counts: dict[str, int]
    sources: list[dict[str, object]]
    sentences: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    plan_digest: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the document that `--json` prints."""
        return {
            "cycle_id": self.cycle_id,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
            "counts": self.counts,
            "sources": self.sources,
            "sentences": self.sentences,
            "notices": self.notices,
            "plan_digest": self.plan_digest,
        }


def begin_cycle(state: State, cycle_id: str, started: datetime) -> None:
    """Set down that a cycle has begun, so that the state knows of whatever that cycle does."""
    unknown = dict.fromkeys(("ended_at", "exit_code", "seconds"))
    row = {"id": cycle_id, "started_at": started, **unknown, "report": "", "records": 0}
    with state.write() as connection:
        _let_none_be_later(connection, started)
        upsert(connection, cycle, [row])


def _let_none_be_later(connection: Connection, started: datetime) -> None:
    """After the clock was set back, cycles of before would be the last ones for as long as that: put them in order."""
    ids = select(cycle.c.id).where(cycle.c.started_at >= started).order_by(cycle.c.started_at.desc())
    for place, cycle_id in enumerate(connection.execute(ids).scalars().all(), start=1):
        earlier = started - timedelta(microseconds=place)
        connection.execute(update(cycle).where(cycle.c.id == cycle_id).values(started_at=earlier))


def record_cycle(
    state: State,
    population: Population,
    *,
    cycle_id: str,
    started: datetime,
    seconds: float,
    outcomes: tuple[SourceOutcome, ...],
    plan: Plan,
    verdict: Verdict,
    pushed: PushReport,
    notices: list[str],
    configuration: Path,
    sources: Sequence[SourceSettings] = (),
) -> CycleReport:
    """Work out the exit code and the sentences, and keep them for `rollcall status`."""
    with state.write() as connection:
        problems = problems_now(connection, population)
        outstanding = [*refused_now(connection, before=started), *problems]
        approve = rollcall(f"approve {verdict.digest}", configuration)
        sentences, exit_code = _judge(outcomes, verdict, pushed, outstanding, approve)
        report = CycleReport(
            cycle_id=cycle_id,
            started_at=started,
            ended_at=datetime.now(UTC),
            seconds=seconds,
            exit_code=exit_code,
            counts={
                "planned": sum(plan.operations.values()),
                "requests": pushed.requests,
                "writes": pushed.writes,
                "rejected": connection.execute(select(func.count(rejected.c.entry_id.distinct()))).scalar_one(),
                "problems": len(problems),
                "removals held": len(verdict.held) if verdict.stops else 0,
                **dict(sorted(pushed.done.items())),
            },
            sources=[describe_source(outcome) for outcome in outcomes],
            sentences=sentences,
            notices=[
                *(
                    outcome.reason
                    for outcome in outcomes
                    if outcome.completeness is Completeness.COMPLETE and outcome.reason and not outcome.emptied
                ),
                *_about_unknown_members(connection, population, outcomes, sources),
                *notices,
            ],
            plan_digest=verdict.digest if verdict.asks_for_approval else "",
        )
        row = {
            "id": cycle_id,
            "started_at": started,
            "ended_at": report.ended_at,
            "exit_code": int(exit_code),
            "seconds": seconds,
            "report": json.dumps(report.as_json()),
        }
        upsert(connection, cycle, [row])
        one_has_run(connection)
        note_time(connection)
        # With which the audit trail ends is kept: the last one that wrote. Where a cycle began is moved when the clock
        # was set back, where it ended is not.
        when = func.coalesce(cycle.c.ended_at, cycle.c.started_at)
        old = when < vouched_time(connection) - _KEPT, cycle.c.id != (fact_of(connection, KNOWN_END) or "")
        connection.execute(delete(cycle).where(*old))
    return report


def problems_now(connection: Connection, population: Population) -> list[str]:
    """Return what keeps objects from being pushed although no upstream has refused them."""
    sentences = [
        f'{setting}: no group answers to "{written}". Correct it, or check that the account may read the group.'
        for setting, written in unmatched_groups(connection, population)
    ]
    for table in (desired_group, desired_user):
        # What was not read since a restore is told in one sentence (agent/restored_sources.py).
        wanted = (
            select(table.c.problem)
            .join(entry, entry.c.id == table.c.entry_id)
            .where(table.c.problem.is_not(None), ~unread_in(entry))
            .order_by(table.c.entry_id)
        )
        if table is desired_user:
            wanted = wanted.where(desired_user.c.active, desired_user.c.provisioned)
        sentences += connection.execute(wanted).scalars()
    return sentences


def rejections_now(connection: Connection) -> list[dict[str, object]]:
    """Return the objects whose last push failed, with the reason and when they are tried again."""
    rows = connection.execute(
        select(rejected, entry.c.dn)
        .join(entry, entry.c.id == rejected.c.entry_id)
        .order_by(rejected.c.first_at, rejected.c.operation)
    )
    return [
        {
            "dn": row.dn,
            "operation": row.operation,
            "reason": row.reason,
            "attempts": row.attempts,
            "since": row.first_at.isoformat(),
            "next_attempt_at": row.next_attempt_at.isoformat(),
            "next": describe_wait(row.next_attempt_at, final=row.final),
        }
        for row in rows
    ]


def refused_now(connection: Connection, before: datetime | None = None) -> list[str]:
    """Return what was refused and is outstanding, in sentences; `before`: what was tried last before that moment."""
    query = (
        select(rejected, entry.c.dn)
        .join(entry, entry.c.id == rejected.c.entry_id)
        .order_by(rejected.c.first_at, rejected.c.operation)
    )
    if before is not None:
        # What seems to come from the future was tried before the clock was set back.
        now, last = datetime.now(UTC), rejected.c.last_at
        query = query.where(or_(last.is_(None), last < before, last > now))
    return [
        f"{row.operation} {row.dn}: {row.reason} ({describe_wait(row.next_attempt_at, final=row.final)})"
        for row in connection.execute(query.limit(_SHOWN))
    ]


def _refusals() -> Select[tuple[object, ...]]:
    query = select(rejected, entry.c.dn).join(entry, entry.c.id == rejected.c.entry_id)
    return query.order_by(rejected.c.first_at, rejected.c.operation)


def describe_wait(until: datetime, *, final: bool) -> str:
    """Say when something is tried again; `final`: it was refused for good."""
    if until - datetime.now(UTC) > timedelta(days=3650):
        return "not tried again until somebody asks: rollcall sync --full"
    return f"next attempt after {until:%Y-%m-%d %H:%M} UTC, or with rollcall sync{' --full' if final else ''}"


def unresolved_now(connection: Connection) -> list[dict[str, object]]:
    """Return the selected groups with members that no source can name; those are kept as they stand upstream."""
    rows = connection.execute(
        select(desired_group.c.display_name, desired_group.c.unresolved)
        .where(desired_group.c.unresolved > 0)
        .order_by(func.lower(desired_group.c.display_name))
    )
    return [{"group": row.display_name, "members": row.unresolved} for row in rows]


def _about_unknown_members(
    connection: Connection,
    population: Population,
    outcomes: tuple[SourceOutcome, ...],
    sources: Sequence[SourceSettings],
) -> list[str]:
    """Tell where the unknown members point to. Where no read changed anything, that is as it was the last time."""
    if not any_unknown(connection):
        return []
    told = fact_of(connection, _UNKNOWN)
    if told is not None and not any(_may_change_what_is_known(outcome) for outcome in outcomes):
        notices: list[str] = json.loads(told)
        return notices
    found = unknown_members(connection, sources, nested=population.scope.nested)
    notices = [group.sentence() for group in found[:_DOMAINS_SHOWN]]
    if len(found) > _DOMAINS_SHOWN:
        notices.append(
            f"There are {len(found) - _DOMAINS_SHOWN} more domains with unknown members: see rollcall status."
        )
    write_fact(connection, _UNKNOWN, json.dumps(notices))
    return notices


def _may_change_what_is_known(outcome: SourceOutcome) -> bool:
    quiet = outcome.extent is Extent.INCREMENTAL and outcome.completeness is Completeness.COMPLETE
    return not quiet or bool(outcome.changed or outcome.gone)


def describe_source(outcome: SourceOutcome) -> dict[str, object]:
    """Return one source's part of the report."""
    return {
        "name": outcome.source,
        "server": outcome.server,
        "extent": outcome.extent.value,
        "note": outcome.note,
        "completeness": outcome.completeness.value,
        "reason": outcome.reason,
        "seen": outcome.seen,
        "changed": outcome.changed,
        "gone": outcome.gone,
        "unreadable": list(outcome.unreadable),
    }


def _judge(
    outcomes: tuple[SourceOutcome, ...], verdict: Verdict, pushed: PushReport, problems: list[str], approve: str
) -> tuple[list[str], ExitCode]:
    """Return what has to be said and the exit code: the most serious trouble decides."""
    sentences: list[str] = []
    exit_code = ExitCode.DONE
    rejections = [f"{item.verb} {item.label}: {item.reason}" for item in pushed.rejected]
    unreadable = [sentence for outcome in outcomes for sentence in outcome.unreadable]
    ordinary = [*rejections, *problems, *unreadable]
    if ordinary:
        sentences, exit_code = ordinary[:_SHOWN], ExitCode.REJECTED_OBJECTS
    if pushed.stopped:
        sentences = ["The agent was asked to stop before everything was pushed. The next cycle goes on.", *sentences]
        exit_code = ExitCode.REJECTED_OBJECTS
    if pushed.removals_withheld:
        sentences = [pushed.removals_withheld, *sentences]
        exit_code = ExitCode.REJECTED_OBJECTS
    if verdict.stops:
        held = f"{amount_of(verdict.held)} held back. " if verdict.held else ""
        sentences = [f"Stopped by the guard: {held}{' '.join(verdict.reasons)}", *sentences]
        if verdict.asks_for_approval:
            sentences.insert(1, f"To let exactly these removals through: {approve}")
        exit_code = ExitCode.GUARD
    incomplete = [o.reason for o in outcomes if o.completeness is not Completeness.COMPLETE]
    if incomplete:
        sentences, exit_code = [*incomplete, *sentences], ExitCode.SOURCE_INCOMPLETE
    if isinstance(pushed.trouble, UpstreamError):
        sentences, exit_code = [str(pushed.trouble), *sentences], ExitCode.UPSTREAM
    return sentences, exit_code
