"""When cycles are due, by an interval and by a cron line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import UsageProblem
from agent.schedule import Trigger, due_after
from agent.settings import ScheduleSettings


def test_by_a_cron_line_the_next_cycle_may_be_due_days_later() -> None:
    friday = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)

    due = due_after(ScheduleSettings(cron="*/15 6-20 * * 1-5"), friday)

    assert timedelta(days=2) < due - friday < timedelta(days=3)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("1-5", "Mon Tue Wed Thu Fri"), ("0", "Sun"), ("7", "Sun"), ("0-4", "Mon Tue Wed Thu Sun"),
        ("5-7", "Fri Sat Sun"), ("*/2", "Tue Thu Sat Sun"), ("1-5/2", "Mon Wed Fri"), ("1,3", "Mon Wed"),
        ("mon-wed,6", "Mon Tue Wed Sat"), ("*", "Mon Tue Wed Thu Fri Sat Sun"),
    ],
)  # fmt: skip
def test_days_of_the_week_are_counted_as_cron_counts_them(days: str, expected: str) -> None:
    schedule = ScheduleSettings(cron=f"0 12 * * {days}")
    monday = datetime(2026, 11, 30, tzinfo=UTC)

    due = {due_after(schedule, monday + timedelta(days=number)) for number in range(7)}

    assert " ".join(f"{moment:%a}" for moment in sorted(due) if moment - monday < timedelta(days=7)) == expected


def test_jitter_may_put_the_next_cycle_off() -> None:
    moment = datetime(2026, 11, 27, tzinfo=UTC)
    schedule = ScheduleSettings(every=timedelta(minutes=10), jitter=timedelta(seconds=30))

    assert due_after(schedule, moment) == moment + timedelta(minutes=10, seconds=30)


@pytest.mark.parametrize(
    "line", ["", "* * * *", "* * * * 5-1", "* * * * 8", "* * * * */0", "61 * * * *", "* * * * * *"]
)
def test_a_line_that_is_none_is_refused_with_what_to_write(line: str) -> None:
    with pytest.raises(UsageProblem, match=r"is not a cron line .* Write five fields, like "):
        Trigger(ScheduleSettings(cron=line))
