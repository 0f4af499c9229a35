"""One brake for all workers: when the upstream asks for patience, nobody sends (invariant 12)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_NAP = 5.0  # seconds


class Stopped(Exception):
    """The agent was asked to stop while a worker waited. Nothing was sent, so nothing is in doubt."""


class Brake:
    """Holds every worker until a point in time, or until the agent is asked to stop.

    `clock` and `sleep` are seconds; tests put their own in. `alive` is called before every request, and again and again
    while one waits; `held` whenever the upstream asks for patience, and `waited` with the seconds that nobody could
    send, which are counted once, however many workers wait.
    """

    def __init__(
        self,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        alive: Callable[[], None] = lambda: None,
        held: Callable[[], None] = lambda: None,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._stop = stop
        self._clock = clock
        self._sleep = sleep or stop.wait
        self._alive, self._held, self._waited = alive, held, waited
        self._lock = threading.Lock()
        self._until = 0.0
        self._told_until = 0.0

    def hold(self, seconds: float) -> None:
        """Hold everybody for this long from now; a longer hold that is in force stays."""
        with self._lock:
            self._until = max(self._until, self._clock() + seconds)
        self._held()

    def wait(self) -> None:
        """Wait while the brake is on. Raises Stopped."""
        while not self._stop.is_set():
            self._alive()
            with self._lock:
                begun = self._clock()
                remaining = self._until - begun
            if remaining <= 0:
                return
            self._sleep(min(remaining, _NAP))
            self._tell_of_wait(begun)
        raise Stopped

    def pause(self, seconds: float) -> None:
        """Let one worker wait before it tries again. Raises Stopped."""
        self._sleep(seconds)
        if self._stop.is_set():
            raise Stopped

    def _tell_of_wait(self, begun: float) -> None:
        with self._lock:
            ended = self._clock()
            seconds = ended - max(begun, self._told_until)
            self._told_until = max(ended, self._told_until)
        if seconds > 0:
            self._waited(seconds)
