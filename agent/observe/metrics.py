"""/metrics: the text format of Prometheus. README lists what there is; packaging/monitoring uses it.

What follows from the state is read from it (figures.py); what is counted begins anew with the process (counts.py), as
Prometheus expects of counters. The values of labels are few: source names are the settings', all others the program's.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agent import __version__
from agent.connection import Connection
from agent.observe.counts import BOUNDS, Tally
from agent.observe.figures import Figures, LastCycle
from agent.observe.health import Judgement
from agent.observe.trouble import token_expiry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VERSIONS = (__version__, platform.python_version())
# The values of the labels, and what is measured.
_Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, eq=False)  # the registry has it as a key
class Seen(Collector):
    """All that is known at one moment. `figures` are None where the state could not be read."""

    connection: Connection
    tally: Tally
    figures: Figures | None
    alive: bool
    readiness: tuple[Judgement, ...]

    def collect(self) -> Iterable[Metric]:
        """Yield everything; prometheus_client calls it."""
        yield _gauges("build_info", "The version that runs.", ("version", "python"), [(_VERSIONS, 1)])
        yield _gauge("started_timestamp_seconds", "When the daemon was started.", self.tally.since.timestamp())
        yield _gauge("alive", "1: the schedule lives and a running cycle goes forward (/healthz).", self.alive)
        yield _gauge("state_readable", "1: the figures that follow from the state are here.", self.figures is not None)
        yield from _counted(self.tally)
        yield from _limits(self.connection)
        if self.figures is not None:
            yield from _freshness(self.figures, self.readiness)
            yield from _last_cycle(self.figures.last)
            yield from _stock(self.figures)


def exposition(seen: Seen) -> bytes:
    """Return the text. Its registry is its own, so that nothing is shared with anybody else in this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(seen)
    return generate_latest(registry)


def _counted(tally: Tally) -> Iterator[Metric]:
    cycles = [((code,), number) for code, number in tally.cycles.items()]
    yield _counters("cycles", "Cycles by exit code; defect: an error in Rollcall.", ("exit_code",), cycles)
    text = "How many of the last cycles could push nothing (exit codes 2 and 5, and defects)."
    yield _gauge("cycles_failed_in_a_row", text, tally.in_a_row)
    buckets, number = list[tuple[str, float]](), 0
    for bound in (*BOUNDS, None):
        number += tally.durations.get(bound, 0)
        buckets.append(("+Inf" if bound is None else str(bound), float(number)))
    text = "How long cycles took that ran to their end."
    yield HistogramMetricFamily("rollcall_cycle_duration_seconds", text, buckets=buckets, sum_value=tally.seconds)
    text = "Operations upstream that ended, by verb and outcome."
    yield _counters("operations", text, ("verb", "outcome"), tally.operations.items())
    requests = [(("read",), tally.reads), (("write",), tally.writes)]
    yield _counters("upstream_requests", "Requests sent upstream; counted when a cycle ends.", ("kind",), requests)
    text = "Answers by which the upstream asked for patience (429, or 503 with a time)."
    yield _counters("upstream_throttled", text, (), [((), tally.throttled)])
    text = "For how long nothing was sent because of that."
    yield _counters("upstream_throttled_seconds", text, (), [((), tally.waited)])


def _limits(connection: Connection) -> Iterator[Metric]:
    """What the settings say, for alert rules to compare with."""
    notice, expiry = connection.settings.notice, token_expiry(connection)
    known = [] if expiry is None else [((), expiry.timestamp())]
    yield _gauges("token_expires_timestamp_seconds", "When the upstream's token expires, if that is known.", (), known)
    warning = notice.token_warning.total_seconds()
    yield _gauge("token_warning_seconds", "How long before that it is time to act ([notice] token_warning).", warning)
    text = "More rejected objects than that are too many ([notice] rejected_over)."
    yield _gauge("rejected_objects_limit", text, notice.rejected_over)


def _freshness(figures: Figures, readiness: tuple[Judgement, ...]) -> Iterator[Metric]:
    now = datetime.now(UTC)
    lags = [((item.name,), _age(item.fresh_at, now)) for item in figures.sources if item.fresh_at]
    text = "Seconds since the source was last read completely; if it never was, since the first attempt."
    yield _gauges("source_lag_seconds", text, ("source",), lags)
    judged = {one.about: one.well for one in readiness}
    fresh = [((item.name,), judged[f"source {item.name}"]) for item in figures.sources]
    yield _gauges("source_fresh", "1: read completely within the limit (/readyz).", ("source",), fresh)
    complete = [] if figures.complete_at is None else [((), _age(figures.complete_at, now))]
    yield _gauges("cycle_lag_seconds", "Seconds since a cycle last read everything and could push.", (), complete)
    yield _gauge("ready", "1: all of it is fresh enough (/readyz).", all(one.well for one in readiness))


def _last_cycle(last: LastCycle | None) -> Iterator[Metric]:
    if last is not None:
        yield _gauge("last_cycle_exit_code", "Exit code of the last cycle that ran to its end.", last.exit_code)
        yield _gauge("last_cycle_duration_seconds", "How long it took.", last.seconds)
        text = "Removals that the guard held back in it: one a user, and one a group, however many members it loses."
        yield _gauge("removals_held", text, last.removals_held)
        yield _gauge("problems", "What keeps objects from being pushed without an attempt.", last.problems)


def _stock(figures: Figures) -> Iterator[Metric]:
    yield _gauge("rejected_objects", "Objects whose last push was refused.", figures.rejected)
    text = "Those among them that are to be deactivated, deleted or taken out of a group, and still are in."
    yield _gauge("rejected_removals", text, figures.rejected_removals)
    yield _gauge("unknown_members", "Members of selected groups that no source can name.", figures.unknown_members)
    users = [
        (("external" if external else "managed", "active" if active else "inactive"), number)
        for (external, active), number in figures.users.items()
    ]
    text = "Users upstream under Rollcall's care, by the standing of their domain."
    yield _gauges("upstream_users", text, ("standing", "state"), users)
    yield _gauge("upstream_groups", "Groups upstream under Rollcall's care.", figures.groups)
    yield _gauge("upstream_memberships", "Memberships upstream under Rollcall's care.", figures.memberships)


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _gauge(name: str, text: str, value: float) -> Metric:
    return _gauges(name, text, (), [((), value)])


def _gauges(name: str, text: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(f"rollcall_{name}", text, labels=labels)
    for of, value in samples:
        family.add_metric(of, float(value))
    return family


def _counters(name: str, text: str, labels: tuple[str, ...], samples: _Samples) -> Metric:
    family = CounterMetricFamily(f"rollcall_{name}", text, labels=labels)
    for of, value in samples:
        family.add_metric(of, float(value))
    return family
