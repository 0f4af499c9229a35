"""When cycles are due."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from agent.errors import UsageProblem
from agent.settings import ScheduleSettings

CLOCK_WAVERS = timedelta(minutes=1)  # a clock that is put right by less was not set back
_SOONEST = timedelta(seconds=1)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS = re.compile(r"(?:\*|(?P<first>[0-7])(?:-(?P<last>[0-7]))?)(?:/(?P<step>\d{1,2}))?", re.ASCII)


class Trigger(BaseTrigger):  # type: ignore[misc] # APScheduler has no types
    """Tells APScheduler when the next cycle begins; always after now, and in UTC.

    APScheduler's own triggers add the jitter to local time, in which the hour that comes twice in autumn comes first
    once more: the next run lies in the past then, and the scheduler looks for a later one without an end.
    """

    def __init__(self, schedule: ScheduleSettings) -> None:
        """Prepare it. Raises UsageProblem for a cron line that is none."""
        check_schedule(schedule)
        self._schedule = schedule

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Say when the next cycle begins after that one; what was missed meanwhile is not made up for."""
        now = now.astimezone(UTC)
        due = _next(self._schedule, (previous_fire_time or now).astimezone(UTC))
        if due <= now:
            due = _next(self._schedule, now)
        jitter = self._schedule.jitter or timedelta(0)
        # Whatever a time zone does, the scheduler would never come back from a time that is not after now.
        return max(due, now + _SOONEST) + jitter * random.random()  # noqa: S311 - no cryptography


def check_schedule(schedule: ScheduleSettings) -> None:
    """Raise UsageProblem for a cron line that is none, or that never comes to pass."""
    if schedule.cron is not None:
        _next_by_cron(schedule.cron, datetime.now(UTC))


def due_after(schedule: ScheduleSettings, moment: datetime) -> datetime:
    """Return when the next cycle is due after one at that moment, at the latest.

    By a cron line that may be days later: who works from Monday to Friday is not late on Sunday.
    """
    return _next(schedule, moment.astimezone(UTC)) + (schedule.jitter or timedelta(0))


def is_put_off(schedule: ScheduleSettings, next_cycle: datetime) -> bool:
    """Tell whether the next cycle is later than it can be by the schedule: then the clock was set back meanwhile."""
    return next_cycle > due_after(schedule, datetime.now(UTC)) + CLOCK_WAVERS


def _next(schedule: ScheduleSettings, moment: datetime) -> datetime:
    if schedule.cron is None:
        return moment + schedule.interval
    return _next_by_cron(schedule.cron, moment)


def _next_by_cron(line: str, moment: datetime) -> datetime:
    """Return the first time that a line names after a moment of UTC, in UTC."""
    # APScheduler counts on in the time zone of what it is given: in a local one it would lose which of two equal hours
    # it is in. In UTC it loses the midnight after a night whose clocks were put forward, and the wall clock has it.
    trigger = _cron(line)
    found: datetime | None = trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
    if found is None:
        raise UsageProblem(
            f'schedule.cron: "{line}" names no day that ever comes, so no cycle would run. Correct the day and the '
            "month, or write * for them."
        )
    by_wall_clock = _by_wall_clock(line, moment, trigger.timezone)
    return min(found.astimezone(UTC), by_wall_clock) if by_wall_clock > moment else found.astimezone(UTC)


def _by_wall_clock(line: str, moment: datetime, local: tzinfo) -> datetime:
    """Return the first time after a moment that a line names, by a clock that is never put forward or back.

    In the hour that comes twice that may be an earlier time than the moment.
    """
    wall = moment.astimezone(local).replace(tzinfo=UTC, fold=0) + timedelta(microseconds=1)
    found: datetime = _cron(line, UTC).get_next_fire_time(None, wall)
    return found.replace(tzinfo=local).astimezone(UTC)


def _cron(line: str, timezone: tzinfo | None = None) -> CronTrigger:
    *fields, days = line.split() or [""]
    try:
        return CronTrigger.from_crontab(" ".join([*fields, ",".join(map(_by_name, days.split(",")))]), timezone)
    except ValueError as error:
        raise UsageProblem(
            f'schedule.cron: "{line}" is not a cron line ({error}). Write five fields, like "*/15 6-20 * * 1-5".'
        ) from None


def _by_name(days: str) -> str:
    """Name the days of the week that are given as numbers: for cron 0 and 7 are Sunday, for APScheduler 0 is Monday."""
    match = _NUMBERS.fullmatch(days)
    if match is None or days == "*":
        return days
    first = int(match["first"] or 0)
    last = int(match["last"]) if match["last"] else 6 if match["step"] else first
    chosen = range(first, last + 1, int(match["step"] or 1))
    if not chosen:
        raise ValueError(f'"{days}" is no day of the week')
    return ",".join(_DAYS[day % len(_DAYS)] for day in chosen)
