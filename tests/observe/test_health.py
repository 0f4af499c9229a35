"""When the daemon is held to be alive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.connection import connect
from agent.observe.figures import Figures, SourceFigures
from agent.observe.health import life_of, readiness_of, schedule_lives
from agent.observe.pulse import Pulse
from agent.schedule import due_after
from agent.settings import ScheduleSettings
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService

HOURLY = ScheduleSettings(every=timedelta(hours=1))
SOON = datetime.now(UTC) + timedelta(minutes=59)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_cycle_that_does_not_go_forward_for_long_is_not_alive_and_is_again_with_a_sign_of_life() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    with pulse.cycle():
        clock.now += 299
        patient = life_of(pulse, HOURLY, SOON)
        clock.now += 1
        hanging = life_of(pulse, HOURLY, SOON)
        pulse.alive()
        again = life_of(pulse, HOURLY, SOON)

    assert (patient.well, hanging.well, again.well) == (True, False, True)
    assert hanging.sentence == "The cycle that runs has not gone forward for 300 seconds. Restart the service."


@pytest.mark.parametrize("sign", ["read", "planned", "pushed"])
def test_reading_planning_and_pushing_are_signs_of_life(sign: str) -> None:
    clock = Clock()
    pulse = Pulse(clock)
    with pulse.cycle():
        clock.now += 1000
        {"read": pulse.alive, "planned": lambda: pulse.planned({}), "pushed": lambda: pulse.pushed("a", "b", "done")}[
            sign
        ]()

        assert life_of(pulse, HOURLY, SOON).well


def test_between_two_cycles_the_silence_may_last_and_the_schedule_must_go_on() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += 100_000
    overdue = datetime.now(UTC) - timedelta(minutes=2)

    assert life_of(pulse, HOURLY, SOON).well
    assert "has not begun. Restart the service." in life_of(pulse, HOURLY, overdue).sentence
    assert not life_of(pulse, HOURLY, overdue).well
    assert not life_of(pulse, HOURLY, None).well


@pytest.mark.parametrize(
    ("schedule", "latest"),
    [
        (HOURLY, timedelta(hours=1)),
        (ScheduleSettings(every=timedelta(hours=1), jitter=timedelta(minutes=10)), timedelta(minutes=70)),
        (ScheduleSettings(cron="* * * * *"), timedelta(minutes=1)),
    ],
)
def test_a_next_cycle_that_is_later_than_the_schedule_has_it_is_no_life(
    schedule: ScheduleSettings, latest: timedelta
) -> None:
    pulse = Pulse()
    put_off = datetime.now(UTC) + latest + timedelta(minutes=2)

    assert life_of(pulse, schedule, datetime.now(UTC) + min(latest, timedelta(seconds=30))).well
    assert not life_of(pulse, schedule, put_off).well
    assert not schedule_lives(schedule, put_off)
    assert life_of(pulse, schedule, put_off).sentence.startswith("The clock was set back: the next cycle would begin")


def test_a_clock_that_is_put_right_by_less_than_a_minute_was_not_set_back() -> None:
    a_little_later = datetime.now(UTC) + HOURLY.interval + timedelta(seconds=50)

    assert schedule_lives(HOURLY, a_little_later)
    assert not schedule_lives(HOURLY, a_little_later + timedelta(seconds=15))


def test_a_schedule_of_working_days_lives_at_the_weekend() -> None:
    schedule = ScheduleSettings(cron="0 6 * * 1")

    assert life_of(Pulse(), schedule, due_after(schedule, datetime.now(UTC))).well


def figures_of(*fresh: datetime) -> Figures:
    sources = tuple(SourceFigures(f"s{number}", at, complete=True) for number, at in enumerate(fresh))
    return Figures(sources, None, None, 0, 0, 0, {}, 0, 0)


def test_only_what_the_cycle_that_runs_has_read_is_spared_and_only_while_it_goes_forward(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim)
    settings = connect(agent.configuration).settings
    clock = Clock()
    pulse = Pulse(clock)
    old = datetime.now(UTC) - timedelta(hours=5)

    def fresh() -> list[bool]:
        judged = readiness_of(figures_of(old, old + timedelta(hours=2)), settings, pulse.going_on_since)
        return [one.well for one in judged[1:]]

    between = fresh()
    with pulse.cycle():
        pulse.began_at = old + timedelta(hours=1)
        going_on = fresh()
        clock.now += 301
        hanging = fresh()

    assert (between, going_on, hanging) == ([False, False], [False, True], [False, False])
