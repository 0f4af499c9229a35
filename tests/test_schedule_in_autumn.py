"""Cycles by a cron line in the nights in which a time zone puts its clocks forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from apscheduler.triggers.cron import CronTrigger

from agent.schedule import Trigger, due_after
from agent.settings import ScheduleSettings

# In Berlin 02:00 to 03:00 comes twice then: until 01:00 UTC as summer time, until 02:00 UTC once more.
AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)
SPRING = datetime(2027, 3, 28, tzinfo=UTC)
MINUTES = [timedelta(minutes=number) for number in range(0, 180, 5)]


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")


def begun(schedule: ScheduleSettings, since: datetime, until: datetime) -> list[datetime]:
    """Return when cycles begin by a trigger that is asked as APScheduler asks it."""
    trigger, cycles = Trigger(schedule), [since]
    while cycles[-1] < until:
        cycles.append(trigger.get_next_fire_time(cycles[-1], cycles[-1]))
        assert cycles[-1] > cycles[-2]
    return cycles[1:-1]


@pytest.mark.parametrize("night", [AUTUMN, SPRING])
@pytest.mark.parametrize("jitter", [None, timedelta(minutes=10)])
@pytest.mark.parametrize("line", ["0 * * * *", "*/15 * * * *", "30 2 * * *", "* * * * *"])
def test_the_next_cycle_is_after_now_and_as_late_as_the_schedule_has_it_at_most(
    line: str, jitter: timedelta | None, night: datetime
) -> None:
    schedule = ScheduleSettings(cron=line, jitter=jitter)
    trigger = Trigger(schedule)

    for now in (night + minutes for minutes in MINUTES):
        for previous in (now, now - timedelta(minutes=50), now - timedelta(days=40), None):
            assert now < trigger.get_next_fire_time(previous, now) <= due_after(schedule, now)


def test_a_quarter_of_an_hour_with_jitter_makes_no_storm_of_cycles() -> None:
    schedule = ScheduleSettings(cron="*/15 * * * *", jitter=timedelta(minutes=10))

    assert len(begun(schedule, AUTUMN, AUTUMN + timedelta(hours=3))) in range(6, 13)


def test_each_of_the_two_hours_has_its_cycles() -> None:
    schedule = ScheduleSettings(cron="*/15 * * * *")

    assert begun(schedule, AUTUMN, AUTUMN + timedelta(hours=3)) == [
        AUTUMN + number * timedelta(minutes=15) for number in range(1, 12)
    ]


@pytest.mark.parametrize("night", [AUTUMN, SPRING])
def test_in_no_hour_a_cycle_is_due_before_its_time(night: datetime) -> None:
    schedule = ScheduleSettings(cron="*/15 * * * *")

    for moment in (night + minutes for minutes in MINUTES):
        assert timedelta(0) < due_after(schedule, moment) - moment <= timedelta(minutes=15)


def test_a_time_that_is_not_after_now_is_never_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CronTrigger, "get_next_fire_time", lambda *_times: AUTUMN)

    assert Trigger(ScheduleSettings(cron="0 * * * *")).get_next_fire_time(AUTUMN, AUTUMN) > AUTUMN


def test_who_was_suspended_over_the_night_begins_no_cycle_for_each_that_was_missed() -> None:
    schedule = ScheduleSettings(every=timedelta(seconds=1))
    now = AUTUMN + timedelta(days=10)

    assert Trigger(schedule).get_next_fire_time(AUTUMN, now) == now + timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/Santiago"])
@pytest.mark.parametrize("line", ["0 0 * * *", "30 0 * * *", "30 2 * * *"])
def test_no_night_of_a_year_is_left_out(line: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    cycles = begun(ScheduleSettings(cron=line), datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))

    assert max(later - earlier for earlier, later in pairwise(cycles)) <= timedelta(hours=25)
