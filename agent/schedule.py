"""When cycles are due."""

from __future__ import annotations

from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from agent.errors import UsageProblem
from agent.settings import ScheduleSettings


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


def _cron(line: str) -> CronTrigger:
    try:
        return CronTrigger.from_crontab(line)
    except ValueError as error:
        raise UsageProblem(
            f'schedule.cron: "{line}" is not a cron line ({error}). Write five fields, like "*/15 6-20 * * 1-5".'
        ) from None
