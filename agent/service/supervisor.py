"""Who watches over the daemon, and what is told there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agent.operating_system import on_reload_signal, on_stop_signal


class Supervisor(Protocol):
    """A service manager. Its methods may be called from any thread, and never raise."""

    def obey(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Call `stop` when the daemon shall end, `reload` when it shall read its settings anew; in any thread.

        Both return at once.
        """

    def ready(self, status: str) -> None:
        """The settings are read, the state is open, the schedule runs; or the new settings are in force."""

    def reloading(self) -> None:
        """New settings are being read; `ready` follows, whatever comes of it."""

    def alive(self) -> None:
        """The daemon waits for the next cycle, or a cycle has gone forward since the last time."""

    def status(self, text: str) -> None:
        """Say in a line how it goes."""

    def stopping(self) -> None:
        """The daemon ends as soon as the requests in flight have ended."""


class Unsupervised:
    """Nobody watches: the daemon was started by hand."""

    def obey(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """See Supervisor. Signals ask; this is called in the main thread, which alone may handle them."""
        on_stop_signal(stop)
        on_reload_signal(reload)

    def ready(self, status: str) -> None:
        """Nobody listens."""

    def reloading(self) -> None:
        """Nobody listens."""

    def alive(self) -> None:
        """Nobody listens."""

    def status(self, text: str) -> None:
        """Nobody listens."""

    def stopping(self) -> None:
        """Nobody listens."""
