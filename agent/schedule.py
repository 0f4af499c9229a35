"""When cycles are due."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from agent.errors import UsageProblem
from agent.settings import ScheduleSettings

CLOCK_WAVERS = timedelta(minutes=1)  # a clock that is put right by less was not set back
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS = re.compile(r"(?:\*|(?P<first>[0-7])(?:-(?P<last>[0-7]))?)(?:/(?P<step>\d{1,2}))?", re.ASCII)


def trigger_of(schedule: ScheduleSettings) -> BaseTrigger:
    """Make APScheduler's trigger. Raises UsageProblem for a cron line it does not understand."""
    jitter = int(schedule.jitter.total_seconds()) if schedule.jitter else None
    if schedule.cron is None:
        return IntervalTrigger(seconds=int(schedule.interval.total_seconds()), jitter=jitter)
    trigger = _cron(schedule.cron)
    trigger.jitter = jitter
    return trigger


def due_after(schedule: ScheduleSettings, moment: datetime) -> datetime:
    """Return when the next cycle is due after one at that moment, at the latest.

    By a cron line that may be days later: who works from Monday to Friday is not late on Sunday.
    """
    if schedule.cron is None:
        due = moment + schedule.interval
    else:
        due = _cron(schedule.cron).get_next_fire_time(None, moment) or moment
    return due + (schedule.jitter or timedelta(0))


def is_put_off(schedule: ScheduleSettings, next_cycle: datetime) -> bool:
    """Tell whether the next cycle is later than it can be by the schedule: then the clock was set back meanwhile."""
    return next_cycle > due_after(schedule, datetime.now(UTC)) + CLOCK_WAVERS


def _cron(line: str) -> CronTrigger:
    *fields, days = line.split() or [""]
    try:
        return CronTrigger.from_crontab(" ".join([*fields, ",".join(map(_by_name, days.split(",")))]))
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
