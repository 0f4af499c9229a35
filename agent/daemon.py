"""The daemon: cycles on schedule and, in live mode, as soon as a source reports a change; one at a time.

Signal handlers and the service manager only set flags; the daemon's thread does what they ask for. A cycle runs in the
scheduler's thread and looks at the stop flag between requests, so a stop waits for the requests in flight and for
nothing else.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from agent.connection import Connection
from agent.cycle import run_cycle
from agent.cycle_report import CycleReport
from agent.errors import ExitCode, RollcallError
from agent.live import LiveMode
from agent.observe.health import schedule_lives
from agent.observe.outside import Outside
from agent.observe.pulse import Pulse
from agent.operating_system import make_private_directory, single_writer
from agent.schedule import Trigger, is_put_off
from agent.service.supervisor import Supervisor, Unsupervised
from agent.state.database import State, open_state

log = structlog.get_logger()

_LONGEST_WAIT = 0.5  # seconds between two looks for a signal
_LATE = timedelta(seconds=5)  # a scheduler that is only held up by much work begins by itself
_JOB = "cycle"


class _Wish(Enum):
    STOP = auto()
    RELOAD = auto()


class Daemon:
    """Runs cycles. `load` reads and checks the settings, at the start and for a reload.

    supervisor:  is told how it goes, and that a cycle goes forward; if it hears nothing for long, it starts another
                 daemon in the place of this one
    """

    def __init__(self, load: Callable[[], Connection], supervisor: Supervisor | None = None) -> None:
        self._load = load
        self._supervisor = supervisor or Unsupervised()
        self._pulse = Pulse()
        self._beats_seen = 0
        self._stop = threading.Event()
        # SimpleQueue.put may be called from a signal handler: it is reentrant.
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()
        self._one_cycle = threading.Lock()
        self._live: LiveMode | None = None

    def run(self) -> ExitCode:
        """Run until the supervisor, or a signal, asks to stop. Raises RollcallError when it cannot begin."""
        self._connection = self._load()
        directory = self._connection.settings.agent.state_dir
        make_private_directory(directory)
        self._supervisor.obey(self._ask_to_stop, lambda: self._wishes.put(_Wish.RELOAD))
        with single_writer(directory):
            self._state: State = open_state(directory)
            try:
                self._serve()
            finally:
                self._state.close()
        return ExitCode.DONE

    def _ask_to_stop(self) -> None:
        self._stop.set()
        self._wishes.put(_Wish.STOP)

    def _serve(self) -> None:
        scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}, timezone="UTC")
        self._schedule(scheduler)
        self._outside = Outside(self._pulse, self._state, lambda: _next_cycle(scheduler))
        self._outside.open(self._connection)
        scheduler.start()
        self._listen()
        log.info("the daemon runs", state=str(self._connection.settings.agent.state_dir))
        self._supervisor.ready(self._outside.with_trouble("the first cycle begins"))
        while self._next_wish(scheduler) is _Wish.RELOAD:
            self._supervisor.reloading()
            self._supervisor.ready(self._outside.with_trouble(self._reload(scheduler)))
        log.info("stopping after the requests in flight")
        self._supervisor.stopping()
        self._stop_listening(scheduler)
        scheduler.shutdown(wait=True)
        self._outside.close()
        log.info("stopped")

    def _next_wish(self, scheduler: BackgroundScheduler) -> _Wish:
        while True:
            self._go_with_the_clock(scheduler)
            self._show_life(scheduler)
            # A signal that comes between Python's last look for signals and its wait for the queue wakes nobody: its
            # handler runs at the next opportunity, so there has to be one soon.
            with contextlib.suppress(queue.Empty):
                return self._wishes.get(timeout=_LONGEST_WAIT)

    def _go_with_the_clock(self, scheduler: BackgroundScheduler) -> None:
        """Begin a cycle when the clock was set back: the next one would wait for as long as that.

        And when it was set forward, or the machine slept: the scheduler waits by a clock that does not go with it.
        """
        moment = _next_cycle(scheduler)
        if moment is None:
            return
        if datetime.now(UTC) - moment > _LATE:
            log.warning("a cycle is overdue and begins now: the clock was set forward, or this machine slept")
            scheduler.wakeup()
        elif is_put_off(self._connection.settings.schedule, moment):
            log.warning("the clock was set back; a cycle begins now", next_would_have_been=moment.isoformat())
            self._schedule(scheduler)

    def _show_life(self, scheduler: BackgroundScheduler) -> None:
        if self._goes_forward(scheduler):
            self._supervisor.alive()

    def _goes_forward(self, scheduler: BackgroundScheduler) -> bool:
        """Tell whether the cycle that runs has gone forward since it was asked last; or the next one is not overdue."""
        if self._pulse.running:
            before, self._beats_seen = self._beats_seen, self._pulse.beats
            return before != self._beats_seen
        return schedule_lives(self._connection.settings.schedule, _next_cycle(scheduler))

    def _listen(self) -> None:
        if self._connection.settings.schedule.live:
            self._live = LiveMode(self._connection, self._state, self._cycle)
            self._live.start()

    def _stop_listening(self, scheduler: BackgroundScheduler) -> None:
        if self._live is not None:
            # The cycle that runs may take longer than the service manager's patience.
            self._live.stop(lambda: self._show_life(scheduler))
            self._live = None

    def _schedule(self, scheduler: BackgroundScheduler) -> None:
        schedule = self._connection.settings.schedule
        # coalesce: after a suspend, one cycle stands for all that were missed. max_instances: never two at once.
        common = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None, "replace_existing": True}
        scheduler.add_job(
            self._cycle,
            Trigger(schedule),
            id=_JOB,
            next_run_time=datetime.now(UTC),
            **common,
        )

    def _cycle(self) -> None:
        with self._one_cycle, self._pulse.cycle():
            if self._stop.is_set():
                return
            try:
                report = run_cycle(self._connection, self._state, stop=self._stop, progress=self._pulse)
            except RollcallError as error:
                log.error("the cycle could not run", reason=str(error))  # noqa: TRY400 - the sentence says it all
                self._pulse.failed(error.exit_code)
                self._supervisor.status(self._outside.with_trouble(f"the last cycle could not run: {error}"))
            except Exception:
                # The next cycle finds the same difference; a daemon that dies would push nobody's leaver.
                log.exception("the cycle ended with a defect in Rollcall; please report it")
                self._pulse.failed(None)
            else:
                self._pulse.ended(report)
                for sentence in report.sentences:
                    log.warning("cycle", sentence=sentence)
                self._supervisor.status(self._outside.with_trouble(_in_a_line(report)))

    def _reload(self, scheduler: BackgroundScheduler) -> str:
        """Put new settings in force, if they can be. Returns what became of it."""
        try:
            connection = self._load()
        except RollcallError as error:
            log.error("the new settings are not used; the old ones stay in force", reason=str(error))  # noqa: TRY400
            return f"the new settings are not used; the old ones stay in force: {error}"
        except Exception:
            log.exception("the new settings are not used because of a defect in Rollcall; please report it")
            return "a defect in Rollcall keeps the new settings out (the log tells more); the old ones stay in force"
        if connection.settings.agent.state_dir != self._connection.settings.agent.state_dir:
            reason = "state_dir cannot change while the daemon runs; restart it. The old settings stay in force"
            log.error(reason)
            return reason
        self._stop_listening(scheduler)
        while not self._one_cycle.acquire(timeout=_LONGEST_WAIT):
            self._show_life(scheduler)
        self._connection = connection
        self._one_cycle.release()
        self._schedule(scheduler)
        self._outside.open(connection)
        self._listen()
        log.info("settings reloaded")
        return "the new settings are in force"


def _next_cycle(scheduler: BackgroundScheduler) -> datetime | None:
    job = scheduler.get_job(_JOB)
    moment: datetime | None = job and job.next_run_time
    return moment


def _in_a_line(report: CycleReport) -> str:
    trouble = report.sentences[0] if report.sentences else "all is as the directory has it"
    return f"last cycle ended {report.ended_at:%Y-%m-%d %H:%M} UTC with exit code {int(report.exit_code)}: {trouble}"
