"""What `rollcall provision` did of late, as the state keeps it: for `rollcall status`, and to find an id again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from agent.plan.guard import Verdict
from agent.plan.plan import Plan
from agent.state.database import State
from agent.state.facts import fact_of, write_fact
from agent.upstream.push import Outcome, PushReport, Result

_FACT = "people provisioned"
_KEPT = 10
_UNFINISHED = "did not end"


@dataclass(frozen=True, slots=True)
class ProvisionReport:
    """One person provisioned. It is in the state from before the first request on.

    cycle_id:  the audit trail has the records under it
    who:       as somebody asked
    dn:        who that was
    outcome:   in words
    counts:    of requests and operations, as in the report of a cycle
    final:     the guard held everything, and no approval lifts that
    """

    cycle_id: str
    started_at: datetime
    who: str
    dn: str
    ended_at: datetime | None = None
    outcome: str = _UNFINISHED
    counts: dict[str, int] = field(default_factory=dict)
    final: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the document that `rollcall status --json` prints."""
        ended = None if self.ended_at is None else self.ended_at.isoformat()
        return {**asdict(self), "started_at": self.started_at.isoformat(), "ended_at": ended}


def remember(state: State, report: ProvisionReport) -> None:
    """Keep a report, in place of an earlier one of the same provision."""
    with state.write() as transaction:
        others = [item for item in provisions(transaction) if item.cycle_id != report.cycle_id]
        kept = [report, *others][:_KEPT]
        write_fact(transaction, _FACT, json.dumps([item.as_json() for item in kept]))


def provisions(reader: Connection) -> list[ProvisionReport]:
    """Return the last ones, the newest first."""
    told: list[dict[str, Any]] = json.loads(fact_of(reader, _FACT) or "[]")
    return [
        ProvisionReport(**item | {time: _moment(item[time]) for time in ("started_at", "ended_at")}) for item in told
    ]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def counts_of(plan: Plan, done: list[Outcome], verdict: Verdict, pushed: PushReport) -> dict[str, int]:
    """Count as the report of a cycle does, but "rejected" is what was refused just now."""
    return {
        "planned": sum(plan.operations.values()),
        "requests": pushed.requests,
        "writes": pushed.writes,
        "rejected": sum(1 for outcome in done if outcome.result is Result.REJECTED),
        "removals held": len(verdict.held) if verdict.stops else 0,
        **dict(sorted(pushed.done.items())),
    }


def outcome_of(done: list[Outcome], verdict: Verdict, pushed: PushReport) -> str:
    """Say how it ended, the most serious trouble first."""
    if pushed.trouble is not None:
        return f"stopped: {pushed.trouble}"
    refused = [outcome for outcome in done if outcome.result is not Result.DONE]
    told = [f"{item.operation.verb} {item.operation.subject.label} {item.result}: {item.detail}" for item in refused]
    if verdict.stops:
        told.insert(0, "held back by the guard")
    return "; ".join(told) or ("done" if done else "nothing to push")
