"""From WHO to an explanation: found in which source, by which groups, by which rule, as what, with what outcome."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select

from agent.directory.unread import is_unread
from agent.explanation.account import account_seen, attempts_seen, former_accounts_seen, refusals_seen
from agent.explanation.explanation import Explanation, Found
from agent.explanation.facts import CycleSeen, SourceSeen, Verdict
from agent.explanation.group import group_seen, paths_to_group, verdict_on_group
from agent.explanation.guarded import Held
from agent.explanation.nobody import unknown_names, unreadable_entries, verdict_on_nobody
from agent.explanation.paths import groups_known, listed_entries, name_of_group, paths_to
from agent.explanation.person import dns_of, entries_seen, groups_of, person_known
from agent.explanation.policy import memberships_seen, policy_seen
from agent.explanation.sent import mapping_seen
from agent.explanation.steps import Steps
from agent.explanation.verdict import Case, verdict_on
from agent.explanation.who import candidates, matches, readable
from agent.plan.guard import Verdict as GuardVerdict
from agent.plan.leavers import Grace
from agent.plan.locks import Locks
from agent.population.desired import Population
from agent.state.database import State
from agent.state.tables import cycle, entry, source
from connectors.base import Completeness, EntryKind, SourceSettings

_CANDIDATES = 50


@dataclass(frozen=True, slots=True)
class Question:
    """Whom, and by which settings.

    settings_changed:  since the last cycle
    held_now:          works out what the guard holds, as the sources were last read
    """

    who: str
    population: Population
    locks: Locks
    grace: Grace
    sources: Sequence[SourceSettings]
    state_dir: Path
    settings_changed: bool
    held_now: Callable[[], GuardVerdict]


def explain(state: State, question: Question) -> Explanation:
    """Tell all there is to say. Contacts nobody, and writes nothing. Raises UsageProblem for an unreadable WHO."""
    who = readable(question.who)
    with state.read() as reader:
        sources = _sources_seen(reader, question.sources)
        told = Explanation(
            who=who,
            found=Found.NOBODY,
            verdict=Verdict(provisioned=False, sentence=""),
            as_of=_last_cycle(reader),
            read_at=_read_at(sources),
            settings_changed=question.settings_changed,
            sources=sources,
        )
        found = matches(reader, question.population, who)
        if not found:
            return _nobody(reader, question, told)
        if len(found) > 1:
            return replace(
                told,
                found=Found.SEVERAL,
                verdict=Verdict(
                    provisioned=False,
                    sentence=f"{who} may be any of {len(found)} entries.",
                    remedy="Ask for one of them by its DN or anchor.",
                ),
                candidates=tuple(candidates(reader, found[:_CANDIDATES])),
            )
        told = replace(told, matched_by=found[0].by)
        number = found[0].number
        kind = reader.execute(select(entry.c.kind).where(entry.c.id == number)).scalar_one()
        if kind == EntryKind.GROUP.value:
            return _group(reader, question, told, number)
        return _person(reader, state, question, told, number)


def _held(question: Question, told: Explanation) -> Held:
    return Held(question.held_now(), told.as_of, settings_changed=question.settings_changed)


def _person(reader: Connection, state: State, question: Question, told: Explanation, number: int) -> Explanation:
    population = question.population
    known = person_known(reader, population, number)
    groups = groups_of(reader, number)
    listed = listed_entries(reader, dns_of(known))
    paths = paths_to(reader, population, listed)
    listing = groups_known(reader, {item.group for item in listed})
    names = {name_of_group(population, row) for row in listing.values()}
    held = _held(question, told)
    memberships = memberships_seen(reader, population, known, groups, held)
    sources = frozenset(settings.name for settings in question.sources)
    steps = Steps(reader, known, groups, paths.shown, held).of(state, question.locks, sources, question.grace)
    attempts, complete = attempts_seen(question.state_dir, known.numbers)
    told = replace(
        told,
        found=Found.PERSON,
        entries=entries_seen(reader, known),
        listed_by=tuple(sorted(names, key=str.casefold)),
        paths=paths.shown,
        more_paths=paths.more,
        memberships=memberships,
        policy=policy_seen(reader, population, known),
        mapping=mapping_seen(population, question.locks, known),
        upstream=account_seen(known, groups),
        former_accounts=former_accounts_seen(reader, known),
        attempts=attempts,
        attempts_complete=complete,
        refusals=refusals_seen(reader, known.numbers),
        next=() if is_unread(known.leader) else steps,
    )
    case = Case(
        population=population,
        locks=question.locks,
        grace=question.grace,
        known=known,
        memberships=memberships,
        listed_by=told.listed_by,
        in_reach=bool(paths.shown),
        refusals=told.refusals,
        sources=told.sources,
        steps=steps,
    )
    return replace(told, verdict=verdict_on(case))


def _group(reader: Connection, question: Question, told: Explanation, number: int) -> Explanation:
    group = group_seen(reader, question.population, number, _held(question, told))
    through = paths_to_group(reader, question.population, number)
    attempts, complete = attempts_seen(question.state_dir, {number})
    return replace(
        told,
        found=Found.GROUP,
        verdict=verdict_on_group(group, through),
        group=group,
        paths=through.shown,
        more_paths=through.more,
        attempts=attempts,
        attempts_complete=complete,
        refusals=refusals_seen(reader, {number}),
    )


def _nobody(reader: Connection, question: Question, told: Explanation) -> Explanation:
    shown = unreadable_entries(reader, told.who)
    unknown = unknown_names(reader, question.population, question.sources, told.who)
    found, verdict = verdict_on_nobody(reader, told.who, unknown, shown)
    return replace(told, found=found, verdict=verdict, entries=shown, unknown_members=unknown)


def _last_cycle(reader: Connection) -> CycleSeen | None:
    row = reader.execute(
        select(cycle).where(cycle.c.ended_at.is_not(None)).order_by(cycle.c.started_at.desc()).limit(1)
    ).first()
    if row is None:
        return None
    report = json.loads(row.report)
    return CycleSeen(
        cycle_id=row.id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        exit_code=row.exit_code,
        removals_held=report.get("counts", {}).get("removals held", 0) > 0,
        plan_digest=report.get("plan_digest", ""),
    )


def _read_at(sources: Sequence[SourceSeen]) -> datetime | None:
    """Return when a source was last read. One that could not be read at all has brought nothing."""
    read = [item for item in sources if item.configured and item.completeness != Completeness.FAILED]
    return max((item.last_read_at for item in read if item.last_read_at is not None), default=None)


def _sources_seen(reader: Connection, configured: Sequence[SourceSettings]) -> tuple[SourceSeen, ...]:
    """Describe the configured sources in their order, and then those that are not configured any more."""
    rows = {row.name: row for row in reader.execute(select(source).order_by(source.c.name))}
    reads = {settings.name: settings.reads for settings in configured}
    names = [*reads, *(name for name in rows if name not in reads)]
    return tuple(
        SourceSeen(
            name=name,
            configured=name in reads,
            completeness=rows[name].completeness if name in rows else None,
            reason=rows[name].reason if name in rows else "",
            last_read_at=rows[name].last_read_at if name in rows else None,
            last_complete_at=rows[name].last_complete_at if name in rows else None,
            reads=reads.get(name, ()),
        )
        for name in names
    )
