"""What is counted for as long as the process lives: cycles, operations, requests. Labels come from small fixed sets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from agent.errors import ExitCode

DEFECT = "defect"  # in the place of an exit code: the cycle ended with an error that nobody had foreseen
BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)  # seconds that cycles take
_VERBS = (
    "create user", "update user", "deactivate user", "let go user", "retire account", "delete user", "create group",
    "rename group", "delete group", "add members", "remove members", "read members",
)  # fmt: skip
_NO_GOOD = frozenset({ExitCode.USAGE, ExitCode.UPSTREAM})  # nothing could be pushed
_OUTCOMES = ("done", "rejected", "interrupted")


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts at one moment.

    cycles:      by exit code
    in_a_row:    how many of the last cycles could push nothing, by whatever else than the guard or a source
    operations:  by verb and outcome
    durations:   cycles that ran to their end, by the first of BOUNDS they did not exceed; None: longer than all
    """

    since: datetime
    cycles: Mapping[str, int]
    in_a_row: int
    operations: Mapping[tuple[str, str], int]
    durations: Mapping[float | None, int]
    seconds: float
    reads: int
    writes: int
    throttled: int
    waited: float


class Counts:
    """Counts. Everything is there from the beginning with zero, so that the first of its kind shows as an increase."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = datetime.now(UTC)
        self._cycles: Counter[str] = Counter({str(int(code)): 0 for code in ExitCode} | {DEFECT: 0})
        self._operations: Counter[tuple[str, str]] = Counter(
            {(verb, outcome): 0 for verb in _VERBS for outcome in _OUTCOMES}
        )
        self._in_a_row = 0
        self._durations: Counter[float | None] = Counter()
        self._seconds = 0.0
        self._reads = self._writes = self._throttled = 0
        self._waited = 0.0

    def cycle(self, exit_code: ExitCode, seconds: float, *, requests: int, writes: int) -> None:
        """Count a cycle that ran to its end; `requests` with the `writes` among them."""
        with self._lock:
            self._cycles[str(int(exit_code))] += 1
            self._in_a_row = self._in_a_row + 1 if exit_code in _NO_GOOD else 0
            self._durations[next((bound for bound in BOUNDS if seconds <= bound), None)] += 1
            self._seconds += seconds
            self._reads += max(0, requests - writes)
            self._writes += writes

    def failed(self, exit_code: ExitCode | None) -> None:
        """Count a cycle that could not run to its end; None: because of a defect."""
        with self._lock:
            self._cycles[DEFECT if exit_code is None else str(int(exit_code))] += 1
            self._in_a_row += 1

    def operation(self, verb: str, outcome: str) -> None:
        """Count an operation that ended."""
        with self._lock:
            self._operations[verb, outcome] += 1

    def throttle(self) -> None:
        """Count that the upstream asked for patience."""
        with self._lock:
            self._throttled += 1

    def wait(self, seconds: float) -> None:
        """Count the time for which nothing was sent because of that."""
        with self._lock:
            self._waited += seconds

    def tally(self) -> Tally:
        """Return a copy."""
        with self._lock:
            return Tally(
                since=self._since,
                cycles=MappingProxyType(dict(self._cycles)),
                in_a_row=self._in_a_row,
                operations=MappingProxyType(dict(self._operations)),
                durations=MappingProxyType(dict(self._durations)),
                seconds=self._seconds,
                reads=self._reads,
                writes=self._writes,
                throttled=self._throttled,
                waited=self._waited,
            )
