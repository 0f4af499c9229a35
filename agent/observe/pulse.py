"""The signs of life of a daemon's cycles, and what is counted of them. Nothing here makes a cycle wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from agent.cycle_report import CycleReport
from agent.errors import ExitCode
from agent.observe.counts import Counts
from agent.observe.progress import Progress

# A source or a service that does not answer is given up before; the service manager's watchdog waits twice as long.
_LONGEST_SILENCE = 300.0  # seconds


class Pulse(Progress):
    """Notes down what cycles report.

    beats:    counts the signs of life
    running:  a cycle is under way
    began_at: when the last one began
    clock:    seconds; tests put their own in
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = Counts()
        self.beats = 0
        self.running = False
        self.began_at: datetime | None = None
        self._clock = clock
        self._beat_at = clock()

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock() - self._beat_at

    @property
    def hangs(self) -> bool:
        """Whether the cycle that runs has given no sign of life for too long."""
        return self.running and self.silence >= _LONGEST_SILENCE

    @property
    def going_on_since(self) -> datetime | None:
        """When the cycle began that runs and goes forward; None: there is none."""
        return self.began_at if self.running and not self.hangs else None

    @contextmanager
    def cycle(self) -> Iterator[None]:
        """Surround a cycle."""
        self.alive()
        self.began_at = datetime.now(UTC)
        self.running = True
        try:
            yield
        finally:
            self.running = False

    def ended(self, report: CycleReport) -> None:
        """Count a cycle that ran to its end, whatever came of it."""
        requests, writes = report.counts.get("requests", 0), report.counts.get("writes", 0)
        self.counts.cycle(report.exit_code, report.seconds, requests=requests, writes=writes)

    def failed(self, exit_code: ExitCode | None) -> None:
        """Count a cycle that could not run; None: because of a defect."""
        self.counts.failed(exit_code)

    def alive(self) -> None:
        """See Progress."""
        self.beats += 1
        self._beat_at = self._clock()

    def planned(self, operations: dict[str, int]) -> None:
        """See Progress."""
        del operations
        self.alive()

    def pushed(self, verb: str, label: str, result: str) -> None:
        """See Progress."""
        del label
        self.alive()
        self.counts.operation(verb, result)

    def throttled(self) -> None:
        """See Progress."""
        self.counts.throttle()

    def waited(self, seconds: float) -> None:
        """See Progress."""
        self.counts.wait(seconds)
