"""The service on Windows, by the Service Control Manager; see agent/service/installed.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pywintypes
import win32service
import win32serviceutil
import winerror

from agent.command_line import rollcall
from agent.connection import Connection, connect
from agent.errors import ExitCode, RollcallError, UsageProblem
from agent.operating_system import state_directory_of
from agent.service.installed import Standing
from agent.service.windows.names import Service, service_of
from agent.service.windows.registration import (
    Registered,
    all_registered,
    may_change_services,
    register,
    registered,
    unregister,
)
from agent.service.words import what_stays

_WORDS = {
    win32service.SERVICE_STOPPED: "is not running",
    win32service.SERVICE_START_PENDING: "is starting",
    win32service.SERVICE_STOP_PENDING: "is stopping, after the requests in flight",
    win32service.SERVICE_RUNNING: "is running",
}
_PATIENCE = 300.0  # seconds: a state of an older version is migrated before a service is ready
_BETWEEN = 0.2  # seconds between two looks


class WindowsService:
    """See ServiceManager."""

    def __init__(self, configuration: Path) -> None:
        self._service = service_of(configuration)

    def missing(self) -> str:
        """See ServiceManager."""
        if not may_change_services():
            return "Only an administrator may change services: run it again in a window opened as administrator."
        return ""

    def install(self, connection: Connection, account: str | None = None) -> Standing:
        """See ServiceManager. A group managed service account, unlike any other, needs no password here."""
        self._refuse_if(self.missing())
        state = connection.settings.agent.state_dir
        for other in all_registered(self._service.home):
            if other != self._service and state_of(other) == state:
                raise UsageProblem(
                    f"{other.configuration} has the same state directory, {state}. Give {self._service.configuration} "
                    "one of its own ([agent] state_dir)."
                )
        troubles = register(self._service, state, account, automatic=True)
        told = [
            f"{self._service.name} starts with the machine from now on, as the account {self._found().account}.",
            *troubles,
        ]
        if self._found().state != win32service.SERVICE_RUNNING:
            told.append(f"It does not run yet: {self._command('service start')}.")
        return Standing(well=True, lines=tuple(told))

    def uninstall(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        if registered(self._service) is None:
            return Standing(well=True, lines=(f"{self._service.name} is not installed.",))
        self._stop()
        unregister(self._service)
        configuration = self._service.configuration
        return Standing(
            well=True,
            lines=(
                f"{self._service.name} is stopped and does not start any more.",
                what_stays(configuration, state_of(self._service) or state_directory_of(configuration)),
                f"Its log stays, too: {self._service.log}.",
            ),
        )

    def start(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        if self._found().state == win32service.SERVICE_STOPPED:
            self._do(lambda: win32serviceutil.StartService(self._service.name))
        self._wait(win32service.SERVICE_START_PENDING)
        return self._told(self._found())

    def stop(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        found = self._found()
        self._stop()
        again = "with the machine" if found.automatic else "never by itself"
        start = self._command("service start")
        return Standing(
            well=True,
            lines=(f"{self._service.name} is stopped. It starts again {again}, or by {start}.",),
        )

    def status(self) -> Standing:
        """See ServiceManager. Everybody may ask."""
        return self._told(self._found())

    def _told(self, found: Registered) -> Standing:
        boots = "It starts with the machine." if found.automatic else (
            f"It does not start with the machine: {self._command('service install')}."
        )  # fmt: skip
        state = f"{self._service.name} {_WORDS.get(found.state, f'is in the state {found.state} of Windows')}."
        if found.state == win32service.SERVICE_RUNNING:
            cycles = f"{self._command('status')} tells of the cycles; the log is {self._service.log}."
            return Standing(well=True, lines=(state, cycles, boots))
        if found.exit_code == int(ExitCode.USAGE):
            why = f"The settings or the state could not be used: {self._command('check')} tells why."
        elif found.exit_code not in {0, winerror.ERROR_SERVICE_NEVER_STARTED}:
            why = f"It ended with the code {found.exit_code}. See {self._service.log}."
        elif not os.path.lexists(self._service.configuration):
            why = f"There is no {self._service.configuration}, so it would not start: {self._command('init')}."
        else:
            why = f"To start it: {self._command('service start')}."
        return Standing(well=False, lines=(state, why, boots))

    def _command(self, words: str) -> str:
        return rollcall(words, self._service.configuration)

    def _found(self) -> Registered:
        found = registered(self._service)
        if found is None:
            raise UsageProblem(f"{self._service.name} is not installed. Run {self._command('service install')}.")
        return found

    def _stop(self) -> None:
        self._wait(win32service.SERVICE_START_PENDING)  # it takes no orders before it is ready
        if self._found().state not in {win32service.SERVICE_STOPPED, win32service.SERVICE_STOP_PENDING}:
            self._do(lambda: win32serviceutil.StopService(self._service.name), but=winerror.ERROR_SERVICE_NOT_ACTIVE)
        self._wait(win32service.SERVICE_STOP_PENDING)
        if self._found().state != win32service.SERVICE_STOPPED:
            raise UsageProblem(
                f"{self._service.name} has not stopped within {_PATIENCE:g} seconds. See {self._service.log}; wait, or "
                "end its python.exe in the Task Manager: what was acknowledged is recorded."
            )

    def _wait(self, while_in: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self._found().state == while_in and time.monotonic() < deadline:
            time.sleep(_BETWEEN)

    def _do(self, what: Callable[[], object], but: int = 0) -> None:
        """Do it; an error that says it is so already is none."""
        try:
            what()
        except pywintypes.error as error:
            if error.winerror == but:
                return
            raise UsageProblem(
                f"{self._service.name}: Windows says: {error.strerror} See the event log, under Application, and "
                f"{self._service.log}."
            ) from error

    def _refuse_if(self, reason: str) -> None:
        if reason:
            raise UsageProblem(reason)


def state_of(service: Service) -> Path | None:
    """Return the state directory of a service; None: its settings cannot be read, and it may be anywhere."""
    if not service.configuration.exists():
        return state_directory_of(service.configuration)
    try:
        return connect(service.configuration).settings.agent.state_dir
    except RollcallError:
        return None
