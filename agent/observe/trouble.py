"""What is wrong now, for whoever is to be told of it: worked out from the state, at the end of every cycle."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from sqlalchemy import Connection as Transaction
from sqlalchemy import and_, func, or_, select

from agent.command_line import rollcall
from agent.connection import Connection
from agent.errors import RollcallError, UpstreamError, UpstreamRefusedToken
from agent.plan.guard import Verdict
from agent.plan.removals import amount_of, causes_of
from agent.state.tables import cycle, rejected, source
from agent.state.tables import trouble as trouble_known
from agent.upstream.push import PushReport
from agent.upstream.token import expiry_of

GUARD, TOKEN, REJECTIONS, UPSTREAM, CYCLE = "guard", "token", "rejections", "upstream", "cycle"
_SHOWN = 5
_MINUTE = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong.

    cause:     names it for as long as it lasts: "guard", "source corp"
    headline:  what is wrong, in a sentence
    details:   more, and what to do
    version:   another version of the same trouble is told again
    digest:    of the removals that the guard holds
    patience:  how long it has to last before anybody is told
    """

    cause: str
    headline: str
    details: tuple[str, ...] = ()
    version: str = ""
    digest: str = ""
    patience: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is wrong now. Of what is `undecided`, this cycle could not find out whether it still is."""

    now: tuple[Trouble, ...]
    undecided: frozenset[str] = frozenset()


def troubles_of_cycle(reader: Transaction, connection: Connection, verdict: Verdict, pushed: PushReport) -> Troubles:
    """Return what is wrong at the end of a cycle that ran."""
    found = [*_lasting(reader, connection)]
    if verdict.stops:
        found.append(_guard(verdict, connection.service.configuration))
    if isinstance(pushed.trouble, UpstreamError):
        found.append(_upstream(pushed.trouble, connection.settings.notice.stale_after))
    # Who was not asked may be away or not.
    undecided = frozenset() if pushed.requests or pushed.trouble else frozenset({UPSTREAM})
    return Troubles(tuple(found), undecided)


def troubles_of_failed_cycle(reader: Transaction, connection: Connection, error: Exception) -> Troubles:
    """Return what is wrong after a cycle that could not run to its end."""
    told = str(error) if isinstance(error, RollcallError) else f"{type(error).__name__}; see the log, and report it"
    failed = Trouble(CYCLE, "A cycle could not run.", (told,))
    return Troubles((*_lasting(reader, connection), failed), frozenset({GUARD, UPSTREAM}))


def over(cause: str, sources: Collection[str]) -> str:
    """Say that something is not wrong any more."""
    name = cause.removeprefix("source ")
    if name != cause:
        return f"Source {name} is read completely again." if name in sources else f"Source {name} is not read any more."
    return _OVER.get(cause, "It is over.")  # another version may have known other causes


_OVER = {
    GUARD: "The guard holds nothing back any more.",
    TOKEN: "The upstream's token is not about to expire any more.",
    REJECTIONS: "No more objects are rejected than half the limit.",
    UPSTREAM: "The upstream answers again.",
    CYCLE: "Cycles run again.",
}


def token_expiry(connection: Connection) -> datetime | None:
    """Return when the upstream's token expires, as far as anybody has told: the token itself knows best."""
    day = connection.settings.notice.token_expires_at
    told = datetime.combine(day, time(), UTC) if day else None
    return expiry_of(connection.service.token.get_secret_value()) or told


def _lasting(reader: Transaction, connection: Connection) -> list[Trouble]:
    """Return what the state alone tells, however the cycle went."""
    return [*_stale_sources(reader, connection), *_token(connection), *_rejections(reader, connection)]


def _guard(verdict: Verdict, configuration: Path) -> Trouble:
    causes = [cause.sentence for cause in causes_of(verdict.held)]
    more = [f"and {len(causes) - _SHOWN} more causes"] if len(causes) > _SHOWN else []
    if verdict.asks_for_approval:
        approve = rollcall(f"approve {verdict.digest}", configuration)
        to_do = f"Read {rollcall('plan', configuration)}. To let exactly these removals through: {approve}"
    else:
        to_do = f"No approval lifts this: read {rollcall('status', configuration)}."
    headline = f"The guard holds {amount_of(verdict.held)} back." if verdict.held else "The guard stops."
    digest = verdict.digest if verdict.asks_for_approval else ""
    return Trouble(GUARD, headline, (*verdict.reasons[:_SHOWN], *causes[:_SHOWN], *more, to_do), digest, digest)


def _stale_sources(reader: Transaction, connection: Connection) -> list[Trouble]:
    now, patience = datetime.now(UTC), connection.settings.notice.stale_after
    fresh_at = source.c.fresh_at
    # What the last cycle has read was fresh when its push began, however long that took.
    begun = select(func.max(cycle.c.started_at)).scalar_subquery()
    stale = and_(fresh_at < now - patience, or_(begun.is_(None), fresh_at < begun))
    rows = reader.execute(
        select(source.c.name, source.c.fresh_at, source.c.reason)
        .where(source.c.name.in_(connection.source_names), or_(stale, fresh_at > now))
        .order_by(source.c.name)
    )
    return [
        Trouble(
            f"source {row.name}",
            f"Source {row.name} has not been read completely since "
            f"{'the clock was set back' if row.fresh_at > now else row.fresh_at.strftime(_MINUTE)}.",
            (row.reason or "see rollcall status", "What it does not show stays as it is upstream."),
            # Nobody knows how long ago that is which seems to be yet to come.
            patience=patience if row.fresh_at > now else timedelta(0),
        )
        for row in rows
    ]


def _token(connection: Connection) -> list[Trouble]:
    expiry, now = token_expiry(connection), datetime.now(UTC)
    if expiry is None or expiry - now > connection.settings.notice.token_warning:
        return []
    expired = expiry <= now
    headline = f"The upstream's token {'has expired' if expired else 'expires'} on {expiry:%Y-%m-%d}."
    to_do = f"Make a new one in the vendor's console and {connection.service.where_the_token_goes}."
    if connection.settings.notice.token_expires_at:
        to_do += " Then correct [notice] token_expires_at."
    return [Trouble(TOKEN, headline, (to_do,), version="expired" if expired else "soon")]


def _rejections(reader: Transaction, connection: Connection) -> list[Trouble]:
    """Return it from more than the limit on, and once somebody was told, until half of it: the number wavers."""
    number = reader.execute(select(func.count(rejected.c.entry_id.distinct()))).scalar_one()
    limit = connection.settings.notice.rejected_over
    if number <= (limit // 2 if _was_told(reader, REJECTIONS) else limit):
        return []
    count = func.count().label("number")
    reasons = select(rejected.c.operation, rejected.c.reason, count).group_by(rejected.c.operation, rejected.c.reason)
    rows = reader.execute(reasons.order_by(count.desc(), rejected.c.operation).limit(_SHOWN))
    details = [f"{row.operation}, {_count(row.number, 'time')}: {row.reason}" for row in rows]
    compared = f"more than {limit}" if number > limit else f"after more than {limit}"
    headline = f"{_count(number, 'object')} could not be pushed, {compared}."
    return [Trouble(REJECTIONS, headline, (*details, "rollcall status names each of them."))]


def _was_told(reader: Transaction, cause: str) -> bool:
    told = select(trouble_known.c.cause).where(trouble_known.c.cause == cause, trouble_known.c.told_at.is_not(None))
    return reader.execute(told).first() is not None


def _upstream(trouble: UpstreamError, patience: timedelta) -> Trouble:
    if isinstance(trouble, UpstreamRefusedToken):
        return Trouble(UPSTREAM, "The upstream refuses the token.", (str(trouble),), version="refused")
    return Trouble(UPSTREAM, "The upstream cannot be used.", (str(trouble),), patience=patience)


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
