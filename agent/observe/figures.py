"""What the state tells of how it goes, in figures: it is known after a restart, too.

Names of people and groups stay out of it, and so do reasons, which may hold them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import Table, func, select

from agent.connection import Connection
from agent.errors import ExitCode
from agent.plan.operations import REMOVALS
from agent.state.tables import cycle, desired_group, ledger_group, ledger_member, ledger_user, rejected, source

# Everything was read, and everything that may be pushed was tried.
_COMPLETE = (ExitCode.DONE, ExitCode.REJECTED_OBJECTS, ExitCode.GUARD)
_EITHER = (False, True)


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """One source.

    fresh_at:  when the last COMPLETE read was; of a source that never was read so, the first attempt; None: no attempt
    complete:  whether it ever was read completely
    """

    name: str
    fresh_at: datetime | None
    complete: bool


@dataclass(frozen=True, slots=True)
class LastCycle:
    """The last cycle that ran to its end, whatever came of it."""

    exit_code: int
    seconds: float
    removals_held: int
    problems: int
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """The state at one moment.

    complete_at:        when the last cycle ended that read every source completely and could push
    rejected_removals:  the users to deactivate or delete, and the groups to take somebody out of or to delete, among
                        the rejected objects
    users:              upstream, by whether they are external and whether they are active
    """

    sources: tuple[SourceFigures, ...]
    last: LastCycle | None
    complete_at: datetime | None
    rejected: int
    rejected_removals: int
    unknown_members: int
    users: Mapping[tuple[bool, bool], int]
    groups: int
    memberships: int


def read_figures(reader: Transaction, connection: Connection) -> Figures:
    """Read them."""
    objects = select(func.count(rejected.c.entry_id.distinct()))
    unknown = select(func.coalesce(func.sum(desired_group.c.unresolved), 0))
    return Figures(
        sources=_sources(reader, connection),
        last=_last(reader),
        complete_at=_complete_at(reader),
        rejected=reader.execute(objects).scalar_one(),
        rejected_removals=reader.execute(objects.where(rejected.c.operation.in_(REMOVALS))).scalar_one(),
        unknown_members=reader.execute(unknown).scalar_one(),
        users=_users(reader),
        groups=_count(reader, ledger_group),
        memberships=_count(reader, ledger_member),
    )


def _sources(reader: Transaction, connection: Connection) -> tuple[SourceFigures, ...]:
    rows = {row.name: row for row in reader.execute(select(source))}
    return tuple(
        SourceFigures(name, row.fresh_at if row else None, row is not None and row.last_complete_at is not None)
        for name in sorted(connection.source_names)
        for row in (rows.get(name),)
    )


def _last(reader: Transaction) -> LastCycle | None:
    ended = select(cycle).where(cycle.c.ended_at.is_not(None)).order_by(cycle.c.started_at.desc()).limit(1)
    row = reader.execute(ended).first()
    if row is None:
        return None
    counts = json.loads(row.report)["counts"]
    held, problems = counts.get("removals held", 0), counts.get("problems", 0)
    return LastCycle(row.exit_code, row.seconds, held, problems, row.started_at, row.ended_at)


def _complete_at(reader: Transaction) -> datetime | None:
    complete = select(cycle.c.ended_at).where(cycle.c.exit_code.in_([int(code) for code in _COMPLETE]))
    return reader.execute(complete.order_by(cycle.c.started_at.desc()).limit(1)).scalar()


def _users(reader: Transaction) -> dict[tuple[bool, bool], int]:
    kinds = ledger_user.c.external, ledger_user.c.active
    rows = reader.execute(select(*kinds, func.count().label("users")).group_by(*kinds))
    known = {(row.external, row.active): row.users for row in rows}
    return {(external, active): known.get((external, active), 0) for external in _EITHER for active in _EITHER}


def _count(reader: Transaction, table: Table) -> int:
    return int(reader.execute(select(func.count()).select_from(table)).scalar_one())
