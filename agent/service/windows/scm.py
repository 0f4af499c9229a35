"""What the Service Control Manager (SCM) is told by a daemon that it has started."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

_PATIENCE = 600.0  # seconds without a sign of life; as long as the unit's WatchdogSec for systemd
_HUNG = 1  # exit code
_STOPPING = 90_000  # milliseconds that a stop may take: the requests in flight end first


class Reports(Protocol):
    """What a hosted service reports."""

    def running(self) -> None:
        """It is ready."""

    def stopping(self, milliseconds: int) -> None:
        """It ends within this time."""

    def stopped(self, code: int) -> None:
        """It has ended, with this code of its own, and as was wanted: nothing starts it again."""

    def trouble(self, text: str) -> None:
        """What an administrator should read in the event log."""


class ServiceControlManager:
    """See Supervisor. Windows has no watchdog for services; one is here, and ends a daemon that hangs.

    A process that ends without having reported that it stops has failed, and the recovery actions start another.
    """

    def __init__(
        self,
        reports: Reports,
        patience: float = _PATIENCE,
        stopping: int = _STOPPING,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._reports = reports
        self._patience = patience
        self._stopping = stopping
        self._end = end
        self._alive_at = time.monotonic()
        self._asked_to_stop = threading.Event()
        self._stop: Callable[[], None] = lambda: None
        self._reload: Callable[[], None] = lambda: None
        self._ready = False

    def obey(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """See Supervisor."""
        self._stop, self._reload = stop, reload
        if self._asked_to_stop.is_set():  # before there was anybody to ask
            stop()

    def ask_to_stop(self) -> None:
        """Do what the control codes STOP and PRESHUTDOWN ask for; the thread of the dispatcher calls it."""
        self._asked_to_stop.set()
        self._reports.stopping(self._stopping)
        threading.Thread(target=self._end_a_stop_that_hangs, name="stop", daemon=True).start()
        self._stop()

    def ask_to_reload(self) -> None:
        """Do what the control code PARAMCHANGE asks for."""
        self._reload()

    def ready(self, status: str) -> None:
        """See Supervisor. The SCM knows no reloading service, so what follows a reload is nothing to it."""
        del status
        self.alive()
        if not self._ready and not self._asked_to_stop.is_set():
            self._ready = True
            self._reports.running()
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def reloading(self) -> None:
        """See Supervisor."""

    def alive(self) -> None:
        """See Supervisor."""
        self._alive_at = time.monotonic()

    def status(self, text: str) -> None:
        """See Supervisor. Nothing of Windows shows such a line; rollcall status does."""

    def stopping(self) -> None:
        """See Supervisor."""
        self._asked_to_stop.set()
        self._reports.stopping(self._stopping)

    def _end_a_stop_that_hangs(self) -> None:
        """As systemd does after TimeoutStopSec: nothing is lost, and an upgrade could not replace files in use."""
        time.sleep(self._stopping / 1000)
        self._reports.trouble(f"The service was asked to stop {self._stopping // 1000} seconds ago, and is ended now.")
        self._reports.stopped(_HUNG)
        self._end(_HUNG)

    def _watch(self) -> None:
        while not self._asked_to_stop.wait(self._patience / 4):
            if time.monotonic() - self._alive_at > self._patience:
                self._reports.trouble(
                    f"The cycle has not gone forward for {self._patience:g} seconds; the service is ended, for the "
                    "recovery actions to start it again."
                )
                self._end(_HUNG)
                return
