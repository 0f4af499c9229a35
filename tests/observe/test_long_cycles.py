"""A cycle that pushes for longer than the limit is no trouble while it goes forward, and not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.connection import connect
from agent.observe.figures import Figures
from agent.observe.health import Judgement, readiness_of
from agent.settings import Settings
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService

MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(agent: Agent, scim: ScimService) -> Settings:
    """A cycle every five minutes, and an hour's patience."""
    agent.configure(scim, schedule={"every": "5m"}, health={"ready_within": "1h"})
    return connect(agent.configuration).settings


def cycle(settings: Settings, *, complete: int | None, began: int | None) -> Judgement:
    """Judge a cycle that began, and a complete one that ended, so many minutes ago."""
    now = datetime.now(UTC)
    ended = None if complete is None else now - complete * MINUTE
    figures = Figures((), None, ended, 0, 0, 0, {}, 0, 0)
    (judged,) = readiness_of(figures, settings, None if began is None else now - began * MINUTE)
    return judged


def test_a_push_of_an_hour_and_a_half_is_no_cycle_that_is_overdue(settings: Settings) -> None:
    judged = cycle(settings, complete=95, began=90)

    assert judged.well
    assert "; one goes forward that began at " in judged.sentence
    assert not cycle(settings, complete=95, began=None).well


def test_a_push_is_overdue_after_six_hours(settings: Settings) -> None:
    assert cycle(settings, complete=364, began=359).well
    assert not cycle(settings, complete=366, began=361).well


def test_a_cycle_that_began_too_late_makes_nothing_well_before_it_has_ended(settings: Settings) -> None:
    """With an upstream that is away one is running most of the time."""
    assert cycle(settings, complete=120, began=56).well
    assert not cycle(settings, complete=120, began=54).well


def test_the_first_push_is_not_ready_before_it_has_ended(settings: Settings) -> None:
    assert not cycle(settings, complete=None, began=10).well


def test_a_complete_cycle_of_the_future_is_not_excused_by_one_that_runs(settings: Settings) -> None:
    assert not cycle(settings, complete=-30, began=1).well
