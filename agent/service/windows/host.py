"""The process that the Service Control Manager starts: python -m agent.service.windows.host CONFIGURATION.

The dispatcher has the main thread; the daemon runs in the one that Windows makes for the service. It is imported only
there: Windows gives up a service that has not reported within 30 seconds of its start, and while a machine boots,
reading some hundred files can take longer.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import ClassVar

import pywintypes
import servicemanager
import win32service
import win32serviceutil
import winerror

from agent.errors import AnotherAgentRuns, RollcallError, StateOfNewerVersion, UsageProblem
from agent.service.windows.log_file import LogFile
from agent.service.windows.names import SOURCE, Service, service_of
from agent.service.windows.scm import ServiceControlManager

_STARTING = 300_000  # milliseconds: a state of an older version is migrated first
_CRASHED = 1


class Host(win32serviceutil.ServiceFramework):
    """The service, as pywin32 wants it. Its methods have the names of pywin32."""

    service: ClassVar[Service]
    _svc_name_ = SOURCE
    _svc_display_name_ = SOURCE

    def __init__(self, arguments: list[str]) -> None:
        super().__init__(arguments)
        # It has set the service's own name, for which no text is registered.
        servicemanager.SetEventSourceName(SOURCE)
        self._manager = ServiceControlManager(self)
        self._reported = win32service.SERVICE_START_PENDING

    def GetAcceptedControls(self) -> int:  # noqa: N802 - pywin32's name
        """Take new settings over, and be told of a shutdown before the others, while there is time."""
        more = win32service.SERVICE_ACCEPT_PRESHUTDOWN | win32service.SERVICE_ACCEPT_PARAMCHANGE
        return int(super().GetAcceptedControls()) | more  # type: ignore[no-untyped-call]  # pywin32 has no types

    def SvcInterrogate(self) -> None:  # noqa: N802 - pywin32's name
        """The control code INTERROGATE. pywin32 would say that it runs, whatever it does."""
        super().ReportServiceStatus(self._reported)

    def ReportServiceStatus(  # noqa: N802 - pywin32's name
        self,
        serviceStatus: int,  # noqa: N803 - pywin32's names
        waitHint: int = 5000,  # noqa: N803
        win32ExitCode: int = 0,  # noqa: N803
        svcExitCode: int = 0,  # noqa: N803
    ) -> None:
        """Report, and know what was reported."""
        self._reported = serviceStatus
        super().ReportServiceStatus(serviceStatus, waitHint, win32ExitCode, svcExitCode)

    def SvcStop(self) -> None:  # noqa: N802 - pywin32's name
        """The control code STOP; the thread of the dispatcher calls it."""
        self._manager.ask_to_stop()

    def SvcOtherEx(self, control: int, event_type: int, data: object) -> int | None:  # noqa: N802 - pywin32's name
        """Other control codes; the thread of the dispatcher calls it."""
        del event_type, data
        if control == win32service.SERVICE_CONTROL_PRESHUTDOWN:
            self._manager.ask_to_stop()
        elif control == win32service.SERVICE_CONTROL_PARAMCHANGE:
            self._manager.ask_to_reload()
        else:
            return winerror.ERROR_CALL_NOT_IMPLEMENTED
        return None

    def SvcRun(self) -> None:  # noqa: N802 - pywin32's name
        """Run the daemon. pywin32 reports that the service has stopped when this returns."""
        self.ReportServiceStatus(win32service.SERVICE_START_PENDING, waitHint=_STARTING)
        sys.stdout = sys.stderr = LogFile(self.service.log)
        try:
            from agent.service.windows.served import serve  # noqa: PLC0415 - see above

            serve(self.service, self._manager)
        except RollcallError as error:
            self.trouble(str(error))
            if isinstance(error, UsageProblem | StateOfNewerVersion) and not isinstance(error, AnotherAgentRuns):
                # Another start would end in the same way: reported as stopped, so that no recovery action follows.
                self.stopped(int(error.exit_code))
            os._exit(int(error.exit_code))
        except BaseException:  # noqa: BLE001 - nobody is above this to raise it to
            # Without the values, which may be secrets: the log masks these, the event log does not.
            self.trouble(f"It ended with a defect in Rollcall; please report it.\n{_without_values()}")
            os._exit(_CRASHED)
        self._event(servicemanager.EVENTLOG_INFORMATION_TYPE, servicemanager.PYS_SERVICE_STOPPED)

    def running(self) -> None:
        """See Reports."""
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)
        self._event(servicemanager.EVENTLOG_INFORMATION_TYPE, servicemanager.PYS_SERVICE_STARTED)

    def stopping(self, milliseconds: int) -> None:
        """See Reports."""
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=milliseconds)

    def stopped(self, code: int) -> None:
        """See Reports."""
        win32service.SetServiceStatus(
            self.ssh,
            (
                win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_STOPPED, 0,
                winerror.ERROR_SERVICE_SPECIFIC_ERROR, code, 0, 0,
            ),
        )  # fmt: skip

    def trouble(self, text: str) -> None:
        """See Reports."""
        servicemanager.LogErrorMsg(f"{self.service.name}: {text}")

    def _event(self, kind: int, message: int) -> None:
        servicemanager.LogMsg(kind, message, (self.service.name, ""))


def main(arguments: list[str]) -> int:
    """Wait for the SCM to have the service run, and run it. Returns an exit code."""
    configuration = Path(arguments[0])
    Host.service = service_of(configuration, configuration.parent)
    Host._svc_name_ = Host.service.name
    servicemanager.Initialize(SOURCE, servicemanager.__file__)
    servicemanager.PrepareToHostSingle(Host)
    try:
        servicemanager.StartServiceCtrlDispatcher()  # type: ignore[no-untyped-call]  # its stub has no types
    except pywintypes.error as error:
        if error.winerror != winerror.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT:
            raise
        print("rollcall: only Windows itself starts this: rollcall service start.", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _without_values() -> str:
    kind, _error, trace = sys.exc_info()
    frames = (f"{frame.filename}, line {frame.lineno}, in {frame.name}" for frame in traceback.extract_tb(trace))
    return "\n".join([*frames, kind.__name__ if kind else ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
