"""The service as the Service Control Manager has it on its list. The MSI and `rollcall service install` do it by this.

What an administrator has changed there stays when it is registered anew: the account, and when it starts.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pywintypes
import servicemanager
import win32evtlogutil
import win32service
import winerror

from agent.errors import UsageProblem
from agent.service.windows.names import SEPARATOR, SOURCE, Service, is_ours, service_of
from agent.service.windows.rights import give_rights, refuse_what_belongs_to_others

if TYPE_CHECKING:
    from _win32typing import PySC_HANDLE

_DESCRIPTION = "Keeps a SCIM service equal to the groups of a directory, every member included."
# Soon after a failure, then every minute: what is in its way may pass after hours. The last action stands for all that
# follow (SERVICE_FAILURE_ACTIONS); after five minutes without a failure it counts anew.
_RECOVERY = {
    "ResetPeriod": 300,
    "RebootMsg": "",
    "Command": "",
    "Actions": [(win32service.SC_ACTION_RESTART, 10_000), (win32service.SC_ACTION_RESTART, 60_000)],
}
_NO_TAG = False  # nor a group in which to be started
_PRESHUTDOWN = 90_000  # milliseconds
_SID_UNRESTRICTED = 1  # SERVICE_SID_TYPE_UNRESTRICTED: the service's SID is in its token, whatever the account


@dataclass(frozen=True, slots=True)
class Registered:
    """A service on the list.

    state:      SERVICE_RUNNING and so on
    exit_code:  the service's own, of its last end
    """

    state: int
    automatic: bool
    account: str
    exit_code: int


def may_change_services() -> bool:
    """Tell whether this account is allowed to."""
    try:
        with _manager(win32service.SC_MANAGER_ALL_ACCESS):
            return True
    except UsageProblem:
        return False


def register(
    service: Service, state: Path | None, account: str | None = None, *, automatic: bool | None = None
) -> list[str]:
    """Put the service on the list, or bring its entry up to date, and give it its rights.

    state:      None: nobody knows where it is, and its rights stay as they are
    account:    None: the one it has; for a new one, its virtual account
    automatic:  None: as it is; a new one does not start with the machine

    Returns what could not be done and is not needed for it to run. Raises UsageProblem and StateProblem.
    """
    if account is not None and not can_be_given(account, service):
        raise UsageProblem(
            f"{account} is no group managed service account: its name would end in $. For an account with a password "
            "use services.msc, which asks for it."
        )
    refuse_what_belongs_to_others(service.home)
    with _manager(win32service.SC_MANAGER_ALL_ACCESS) as manager:
        with _explained(service):
            handle = _entry(manager, service, account, automatic=automatic)
        try:
            troubles = list(_details(handle))
        finally:
            win32service.CloseServiceHandle(handle)
        others = [other for other in _ours(manager, service.home) if other != service]
    troubles += give_rights(service, others, state)
    try:
        win32evtlogutil.AddSourceToRegistry(SOURCE, servicemanager.__file__)
    except pywintypes.error as error:
        troubles.append(f"Its events in the event log have no text: {error.strerror}")
    return troubles


def can_be_given(account: str, service: Service) -> bool:
    """Tell whether a service can be put on the list with this account: without a password, and with no more rights."""
    return account.endswith("$") or account == service.virtual_account


def unregister(service: Service) -> bool:
    """Take a stopped service from the list. Returns whether it was there. Raises UsageProblem."""
    with _manager(win32service.SC_MANAGER_CONNECT) as manager, _explained(service):
        try:
            handle = win32service.OpenService(manager, service.name, win32service.SERVICE_ALL_ACCESS)
        except pywintypes.error as error:
            if error.winerror == winerror.ERROR_SERVICE_DOES_NOT_EXIST:
                return False
            raise
        try:
            win32service.DeleteService(handle)
        finally:
            win32service.CloseServiceHandle(handle)
    return True


def forget_events() -> None:
    """Take away what was registered for the texts of the events; old events lose theirs."""
    with contextlib.suppress(pywintypes.error):
        win32evtlogutil.RemoveSourceFromRegistry(SOURCE)


def registered(service: Service) -> Registered | None:
    """Return how the service is on the list; None: it is not. Raises UsageProblem."""
    with _manager(win32service.SC_MANAGER_CONNECT) as manager, _explained(service):
        rights = win32service.SERVICE_QUERY_STATUS | win32service.SERVICE_QUERY_CONFIG
        try:
            handle = win32service.OpenService(manager, service.name, rights)
        except pywintypes.error as error:
            if error.winerror == winerror.ERROR_SERVICE_DOES_NOT_EXIST:
                return None
            raise
        try:
            status = win32service.QueryServiceStatus(handle)
            configuration = win32service.QueryServiceConfig(handle)
        finally:
            win32service.CloseServiceHandle(handle)
    own = status[4] if status[3] == winerror.ERROR_SERVICE_SPECIFIC_ERROR else status[3]
    return Registered(
        state=status[1],
        automatic=configuration[1] == win32service.SERVICE_AUTO_START,
        account=configuration[7] or "LocalSystem",
        exit_code=own,
    )


def command_line(service: Service) -> str:
    """Return what the SCM starts. Raises UsageProblem in a virtual environment.

    Its python.exe starts another one, and the SCM knows only the process that it has started itself.
    """
    if sys.prefix != sys.base_prefix:
        raise UsageProblem(
            f"The Python of the virtual environment {sys.prefix} cannot be a service. Install Rollcall by its MSI, or "
            "into a Python of its own."
        )
    python = Path(sys.executable).with_name("python.exe")  # the MSI runs this with pythonw.exe
    # -B: it may not write below Program Files, and what administrators' commands left there would stay.
    return f'"{python}" -I -B -m agent.service.windows.host "{service.configuration}"'


def all_registered(home: Path) -> list[Service]:
    """Return every service of ours on this machine: one for each connection. Raises UsageProblem."""
    with _manager(win32service.SC_MANAGER_CONNECT | win32service.SC_MANAGER_ENUMERATE_SERVICE) as manager:
        return _ours(manager, home)


def _ours(manager: PySC_HANDLE, home: Path) -> list[Service]:
    every = win32service.EnumServicesStatus(manager, win32service.SERVICE_WIN32, win32service.SERVICE_STATE_ALL)
    return [
        service_of(home / f"{name.partition(SEPARATOR)[2] or 'agent'}.toml", home)
        for name in sorted(name for name, *_ in every)
        if is_ours(name)
    ]


def _entry(manager: PySC_HANDLE, service: Service, account: str | None, *, automatic: bool | None) -> PySC_HANDLE:
    """Create or change the entry; return a handle."""
    command = command_line(service)
    kinds = {True: win32service.SERVICE_AUTO_START, False: win32service.SERVICE_DEMAND_START}
    try:
        handle = win32service.OpenService(manager, service.name, win32service.SERVICE_ALL_ACCESS)
    except pywintypes.error as error:
        if error.winerror != winerror.ERROR_SERVICE_DOES_NOT_EXIST:
            raise
        return win32service.CreateService(
            manager, service.name, service.display, win32service.SERVICE_ALL_ACCESS,
            win32service.SERVICE_WIN32_OWN_PROCESS, kinds[bool(automatic)], win32service.SERVICE_ERROR_NORMAL,
            command, None, _NO_TAG, None, account or service.virtual_account, None,
        )  # fmt: skip
    start = win32service.SERVICE_NO_CHANGE if automatic is None else kinds[automatic]
    win32service.ChangeServiceConfig(
        handle, win32service.SERVICE_WIN32_OWN_PROCESS, start, win32service.SERVICE_ERROR_NORMAL,
        command, None, _NO_TAG, None, account, None, service.display,
    )  # fmt: skip
    return handle


def _details(handle: PySC_HANDLE) -> Iterator[str]:
    """Set what makes the entry complete; yield what could not be set."""
    details: tuple[tuple[str, int, Any], ...] = (
        ("It has no description", win32service.SERVICE_CONFIG_DESCRIPTION, _DESCRIPTION),
        ("It does not wait for the network at boot", win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True),
        ("It is not started again after a crash", win32service.SERVICE_CONFIG_FAILURE_ACTIONS, _RECOVERY),
        ("It has only a short time at a shutdown", win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO, _PRESHUTDOWN),
        ("Its rights may not hold", win32service.SERVICE_CONFIG_SERVICE_SID_INFO, _SID_UNRESTRICTED),
    )
    for without, level, value in details:
        try:
            win32service.ChangeServiceConfig2(handle, level, value)
        except pywintypes.error as error:
            yield f"{without}: {error.strerror}"


@contextlib.contextmanager
def _manager(rights: int) -> Iterator[PySC_HANDLE]:
    try:
        manager = win32service.OpenSCManager(None, None, rights)
    except pywintypes.error as error:
        raise UsageProblem(
            f"The list of services cannot be opened: {error.strerror} Run this as an administrator."
        ) from error
    try:
        yield manager
    finally:
        win32service.CloseServiceHandle(manager)


@contextlib.contextmanager
def _explained(service: Service) -> Iterator[None]:
    try:
        yield
    except pywintypes.error as error:
        raise UsageProblem(
            f"The service {service.name}: {error.funcname} did not succeed: {error.strerror} Run this as an "
            "administrator, and close the window of the services, which holds on to a removed one."
        ) from error
