"""Whether the daemon is alive, and whether what it knows is fresh: each in a sentence for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.observe.figures import Figures, LastCycle, SourceFigures
from agent.observe.pulse import Pulse
from agent.schedule import CLOCK_WAVERS, due_after, is_put_off
from agent.settings import ScheduleSettings, Settings

_OVERDUE = timedelta(minutes=1)  # after that the schedule is held to be dead
_LONGEST_CYCLE = timedelta(hours=6)  # a first push is given as much by RollcallNoCompleteCycle, packaging/monitoring
_MOMENT = "%Y-%m-%d %H:%M:%S UTC"
_TO_DO = "rollcall status tells the reason."


@dataclass(frozen=True, slots=True)
class Judgement:
    """About one thing: whether it is well, since when it is as it is, and a sentence."""

    about: str
    well: bool
    sentence: str
    since: datetime | None = None


def schedule_lives(schedule: ScheduleSettings, next_cycle: datetime | None) -> bool:
    """Tell whether the schedule goes on, by when it says that the next cycle begins."""
    if next_cycle is None or is_put_off(schedule, next_cycle):
        return False
    return datetime.now(UTC) - next_cycle < _OVERDUE


def life_of(pulse: Pulse, schedule: ScheduleSettings, next_cycle: datetime | None) -> Judgement:
    """Tell whether the schedule lives, and the cycle that runs goes forward."""
    if pulse.hangs:
        sentence = f"The cycle that runs has not gone forward for {int(pulse.silence)} seconds. Restart the service."
        return Judgement("daemon", well=False, sentence=sentence)
    if pulse.running:
        return Judgement("daemon", well=True, sentence="A cycle runs and goes forward.")
    if next_cycle is None:
        return Judgement("daemon", well=False, sentence="The schedule holds no further cycle. Restart the service.")
    when = f"{next_cycle.astimezone(UTC):{_MOMENT}}"
    if is_put_off(schedule, next_cycle):
        sentence = f"The clock was set back: the next cycle would begin at {when} only. Restart the service."
        return Judgement("daemon", well=False, sentence=sentence)
    if not schedule_lives(schedule, next_cycle):
        sentence = f"A cycle was due at {when} and has not begun. Restart the service."
        return Judgement("daemon", well=False, sentence=sentence)
    return Judgement("daemon", well=True, sentence=f"The next cycle begins at {when}.")


def readiness_of(figures: Figures, settings: Settings, going_on_since: datetime | None = None) -> tuple[Judgement, ...]:
    """Tell of the cycles and of each source whether what is known is fresh enough.

    going_on_since:  when the cycle began that runs and goes forward

    What a cycle has read does not grow old before that cycle has ended, though its push takes hours. Nor is a complete
    cycle overdue while one runs that began in time, for six hours. One that began too late excuses nothing: where the
    upstream is away, one runs most of the time.
    """
    patience = settings.health.ready_within or settings.notice.stale_after
    return (
        _cycles(figures.complete_at, settings.schedule, patience, going_on_since),
        *(_source(item, figures.last, settings.schedule, patience, going_on_since) for item in figures.sources),
    )


def _cycles(
    complete_at: datetime | None, schedule: ScheduleSettings, patience: timedelta, going_on_since: datetime | None
) -> Judgement:
    if complete_at is None:
        return Judgement("cycle", well=False, sentence=f"None has been complete yet. {_TO_DO}")
    told = f"The last complete one ended at {complete_at:{_MOMENT}}"
    if going_on_since is None or datetime.now(UTC) - going_on_since >= _LONGEST_CYCLE:
        return _by_age("cycle", told, complete_at, schedule, patience)
    if complete_at <= going_on_since <= due_after(schedule, complete_at) + patience:
        sentence = f"{told}; one goes forward that began at {going_on_since:{_MOMENT}}."
        return Judgement("cycle", well=True, sentence=sentence, since=complete_at)
    return _by_age("cycle", told, complete_at, schedule, patience)


def _source(
    item: SourceFigures,
    last: LastCycle | None,
    schedule: ScheduleSettings,
    patience: timedelta,
    going_on_since: datetime | None,
) -> Judgement:
    about = f"source {item.name}"
    if item.fresh_at is None or not item.complete:
        return Judgement(about, well=False, sentence=f"It has never been read completely. {_TO_DO}")
    told = f"Read completely at {item.fresh_at:{_MOMENT}}"
    if going_on_since is not None and going_on_since <= item.fresh_at <= datetime.now(UTC):
        return Judgement(about, well=True, sentence=f"{told}, by the cycle that runs.", since=item.fresh_at)
    used_until = last.ended_at if last is not None and last.started_at <= item.fresh_at else item.fresh_at
    return _by_age(about, told, item.fresh_at, schedule, patience, used_until=used_until)


def _by_age(
    about: str,
    told: str,
    since: datetime,
    schedule: ScheduleSettings,
    patience: timedelta,
    used_until: datetime | None = None,
) -> Judgement:
    now, latest = datetime.now(UTC), due_after(schedule, used_until or since) + patience
    if since - now > CLOCK_WAVERS:
        sentence = f"{told}, which is yet to come: the clock was set back. Correct it, or wait for the next cycle."
        return Judgement(about, well=False, sentence=sentence, since=since)
    if now <= latest:
        return Judgement(about, well=True, sentence=f"{told}.", since=since)
    sentence = f"{told}, and not again by {latest.astimezone(UTC):{_MOMENT}}, which is the limit. {_TO_DO}"
    return Judgement(about, well=False, sentence=sentence, since=since)
