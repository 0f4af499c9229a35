"""Live mode: sources that report changes as they happen start a cycle at once. The schedule stays the safety net.

A watch only says that it is time for a cycle. It goes on from the checkpoint of the last read, so what happened while
nobody listened is reported as soon as somebody listens again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

import structlog

from agent.connection import Connection
from agent.directory.mirror import checkpoint_of
from agent.plugins import Source
from agent.state.database import State
from connectors.base import Watching
from connectors.errors import SourceError

log = structlog.get_logger()

_QUIET = 0.3  # seconds without another change before a cycle begins: changes come in bursts
_LONGEST_DELAY = 3.0  # seconds: a burst without an end does not put it off for ever
_LONGEST_GOODBYE = 2.0  # seconds
_BETWEEN_SIGNS = 0.5  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds before a source that cannot be watched is tried again


class LiveMode:
    """Watches the sources of one connection, in one thread each, and runs cycles in another.

    cycle:  runs one cycle; called from one thread at a time
    """

    def __init__(self, connection: Connection, state: State, cycle: Callable[[], None]) -> None:
        self._connection = connection
        self._state = state
        self._cycle = cycle
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._threads = [threading.Thread(target=self._run_cycles, name="live cycles", daemon=True)]
        for source in connection.sources:
            if issubclass(source.connector, Watching):
                name = f"watch {source.name}"
                self._threads.append(threading.Thread(target=self._watch, args=(source,), name=name, daemon=True))
            else:
                log.info("the source cannot be watched; the schedule serves it", source=source.name)

    def start(self) -> None:
        """Begin to listen."""
        for thread in self._threads:
            thread.start()

    def stop(self, waiting: Callable[[], None]) -> None:
        """Stop listening, and wait for a cycle that is under way, however long it takes.

        waiting:  called again and again meanwhile
        """
        self._stop.set()
        self._changed.set()
        cycles, *watches = self._threads
        while cycles.is_alive():
            waiting()
            cycles.join(_BETWEEN_SIGNS)
        for thread in watches:
            waiting()
            thread.join(_LONGEST_GOODBYE)  # one that is just connecting has nothing to lose

    def _watch(self, source: Source) -> None:
        pause, told = _FIRST_PAUSE, ""
        while not self._stop.is_set():
            try:
                with closing(source.open()) as connector:
                    since = checkpoint_of(self._state, source.name, connector.fingerprint(self._connection.wanted))
                    if since is not None and isinstance(connector, Watching):
                        for word in connector.watch(self._connection.wanted, since, self._stop):
                            pause, told = _FIRST_PAUSE, ""
                            log.info("the source reports a change", source=source.name, word=word)
                            self._changed.set()
            except SourceError as error:
                if str(error) != told:
                    told = str(error)
                    log.warning("the source cannot be watched now", source=source.name, reason=told)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception:
                log.exception("the connector raised while watching; please report it", source=source.name)
                pause = _LONGEST_PAUSE
            self._stop.wait(pause)

    def _run_cycles(self) -> None:
        while True:
            self._changed.wait()
            latest = time.monotonic() + _LONGEST_DELAY
            while self._changed.is_set() and not self._stop.is_set() and time.monotonic() < latest:
                self._changed.clear()
                self._stop.wait(_QUIET)
            if self._stop.is_set():
                return
            self._changed.clear()
            self._cycle()
