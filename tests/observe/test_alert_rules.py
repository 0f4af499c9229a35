"""packaging/monitoring: when the alerts fire, and that they do not when all is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from agent.errors import ExitCode
from agent.observe.counts import Counts
from tests.acceptance.test_monitoring_files import rules
from tests.alerting import Labels, Samples, fires

HERE: Labels = frozenset({("job", "rollcall"), ("instance", "agent1")})
CORP = HERE | {("source", "corp")}
WELL = {
    "up": 1, "alive": 1, "ready": 1, "state_readable": 1, "started_timestamp_seconds": 0, "cycle_lag_seconds": 60,
    "removals_held": 0, "last_cycle_exit_code": 0, "rejected_objects": 0, "rejected_objects_limit": 10,
    "rejected_removals": 0, "token_expires_timestamp_seconds": 90 * 86_400, "token_warning_seconds": 14 * 86_400,
    "cycles_failed_in_a_row": 0, "source_fresh": 1, "problems": 0, "unknown_members": 0,
}  # fmt: skip
# rate() is beyond what tests/alerting.py evaluates.
EVALUATED = {rule["alert"]: rule for rule in rules() if rule["alert"] != "RollcallThrottled"}


def samples(changes: Mapping[str, float | None]) -> Samples:
    told = {name: value for name, value in (WELL | changes).items() if value is not None}
    return {
        name if name == "up" else f"rollcall_{name}": {CORP if name == "source_fresh" else HERE: float(value)}
        for name, value in told.items()
    }


def alert(name: str, at: Callable[[int], Mapping[str, float | None]], minutes: int) -> list[bool]:
    return fires(EVALUATED[name], lambda minute: samples(at(minute)), minutes)


def alerts(minutes: int, **changes: float | None) -> set[str]:
    return {name for name in EVALUATED if alert(name, lambda _minute: changes, minutes)[-1]}


@pytest.mark.parametrize(
    ("changes", "fired"),
    [
        ({}, set()),
        ({"up": 0}, {"RollcallDown"}),
        ({"alive": 0}, {"RollcallHangs"}),
        ({"state_readable": 0}, {"RollcallStateUnreadable"}),
        ({"removals_held": 1}, {"RollcallGuardHolds"}),
        ({"last_cycle_exit_code": 3}, {"RollcallGuardHolds"}),
        ({"rejected_objects": 10}, set()),
        ({"rejected_objects": 11}, {"RollcallTooManyRejected"}),
        ({"rejected_objects": 1, "rejected_removals": 1}, {"RollcallLeaversStayIn"}),
        ({"token_expires_timestamp_seconds": 13 * 86_400}, {"RollcallTokenExpires"}),
        ({"token_expires_timestamp_seconds": 60 * 89}, {"RollcallTokenExpired"}),
        ({"token_expires_timestamp_seconds": 0}, {"RollcallTokenExpired"}),
        ({"token_expires_timestamp_seconds": None}, set()),
        ({"cycles_failed_in_a_row": 1}, {"RollcallCyclesFail"}),
        ({"ready": 0, "source_fresh": 0}, {"RollcallSourceStale", "RollcallNoCompleteCycle"}),
        ({"ready": 0}, {"RollcallNoCompleteCycle"}),
    ],
)
def test_each_alert_fires_for_its_trouble_alone(changes: dict[str, float], fired: set[str]) -> None:
    assert alerts(90, **changes) == fired


@pytest.mark.parametrize(
    ("figure", "name"), [("problems", "RollcallObjectsKeptBack"), ("unknown_members", "RollcallUnknownMembers")]
)
def test_whoever_does_not_get_in_for_a_day_is_told(figure: str, name: str) -> None:
    fired = alert(name, lambda minute: {figure: 3 if minute >= 60 else 0}, 26 * 60)

    assert (any(fired[: 25 * 60]), fired[25 * 60]) == (False, True)
    assert alerts(24 * 60 + 5, **{figure: 3}) == {name}


@pytest.mark.parametrize("figure", ["problems", "unknown_members"])
def test_whoever_is_put_right_within_the_day_is_not_told(figure: str) -> None:
    changing = {figure: 3.0}

    assert alerts(90, **changing) == set()


def test_a_long_first_push_is_no_upstream_that_is_away_for_six_hours() -> None:
    pushing = {"ready": 0, "cycle_lag_seconds": None}

    fired = alert("RollcallNoCompleteCycle", lambda _minute: pushing, 8 * 60)

    assert (any(fired[: 6 * 60]), fired[-1]) == (False, True)
    assert alerts(60, **pushing) == set()


def test_a_first_push_that_does_not_go_forward_is_told_at_once() -> None:
    assert alerts(20, ready=0, cycle_lag_seconds=None, alive=0) == {"RollcallHangs", "RollcallNoCompleteCycle"}


def killed_again_and_again(minutes_up: int) -> Callable[[int], dict[str, float | None]]:
    """Have it killed after so many minutes, and be away for one, before any cycle is complete."""

    def at(minute: int) -> dict[str, float | None]:
        if minute % (minutes_up + 1) == minutes_up:
            return dict.fromkeys(WELL) | {"up": 0}
        began = minute - minute % (minutes_up + 1)
        return {"ready": 0, "cycle_lag_seconds": None, "started_timestamp_seconds": began * 60}

    return at


def test_a_daemon_that_is_killed_again_and_again_is_told_within_an_hour_and_until_it_stays() -> None:
    crashing = killed_again_and_again(5)

    def at(minute: int) -> dict[str, float | None]:
        return crashing(minute) if minute < 120 else {"started_timestamp_seconds": 7200}

    fired = alert("RollcallRestarts", at, 320)

    assert (fired[10], fired[60], any(fired[60:120]), fired[319]) == (False, True, True, False)
    assert [name for name in EVALUATED if any(alert(name, crashing, 6 * 60))] == ["RollcallRestarts"]


def test_a_service_that_is_started_anew_a_few_times_is_none_that_is_killed() -> None:
    by_hand = {3: 0, 20: 1, 40: 2, 300: 3}

    def at(minute: int) -> dict[str, float | None]:
        return {"started_timestamp_seconds": 60 * max((m for m in by_hand if m <= minute), default=0)}

    assert not any(alert("RollcallRestarts", at, 360))


def test_a_stale_source_hides_no_upstream_that_refuses_the_token() -> None:
    both = alerts(60, ready=0, source_fresh=0, cycles_failed_in_a_row=3, last_cycle_exit_code=5)

    assert both == {"RollcallSourceStale", "RollcallNoCompleteCycle", "RollcallCyclesFail"}


@pytest.mark.parametrize("every", [5, 60, 720])
def test_cycles_that_fail_are_one_alert_however_rarely_they_run(every: int) -> None:
    counts = Counts()

    def at(minute: int) -> dict[str, float | None]:
        if minute % every == 0:
            if minute < 5 * every:
                counts.cycle(ExitCode.UPSTREAM, 1.0, requests=1, writes=0)
            else:
                counts.cycle(ExitCode.REJECTED_OBJECTS, 1.0, requests=1, writes=0)
        return {"cycles_failed_in_a_row": counts.tally().in_a_row}

    fired = alert("RollcallCyclesFail", at, 7 * every + 35)

    turns = [(before, after) for before, after in pairwise(fired) if before != after]
    # Five cycles of every five minutes are over before anybody has to know.
    assert turns == ([] if every == 5 else [(False, True), (True, False)])


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_rule_is_evaluated_here_or_known_to_be_beyond_it(rule: dict[str, Any]) -> None:
    assert (rule["alert"] in EVALUATED) != ("rate(" in rule["expr"])
