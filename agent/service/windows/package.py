"""What the MSI has done with the services, as SYSTEM: python -m agent.service.windows.package VERB.

The list of services is not the MSI's own: its way of upgrading would take every service from the list, and with it the
account that an administrator has chosen, and whether it starts with the machine. What is taken from the list is written
down beside the settings, so that whoever installs Rollcall again has it as it was.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pywintypes
import servicemanager
import win32service

from agent.errors import RollcallError, UsageProblem
from agent.operating_system import default_configuration_file
from agent.service.windows.installed import WindowsService, state_of
from agent.service.windows.names import SOURCE, Service, service_of
from agent.service.windows.registration import (
    all_registered,
    can_be_given,
    forget_events,
    register,
    registered,
    unregister,
)
from agent.service.windows.rights import refuse_what_belongs_to_others
from agent.whole_files import write_whole


def stop() -> None:
    """Before files are replaced or removed: end what runs from them."""
    for service in _every():
        WindowsService(service.configuration).stop()


def prepare() -> None:
    """After files have been put there: every service is on the list as this version wants it.

    The first one is there from now on, so that the directories have their rights before a secret is in them.
    """
    single = service_of(default_configuration_file())
    refuse_what_belongs_to_others(single.home)
    known = {service: _Remembered(None, None) for service in [single, *_every()]} | _remembered()
    states = {service: state_of(service) for service in known}
    for service, remembered in known.items():
        alone = list(states.values()).count(states[service]) == 1
        account = remembered.account
        if account is not None and not can_be_given(account, service):
            _tell(
                f"{service.name} ran as {account} before it was removed. It runs as {service.virtual_account} now; to "
                "change that use services.msc, which asks for the password."
            )
            account = None
        register(service, states[service] if alone else None, account, automatic=remembered.automatic)
    _memory().unlink(missing_ok=True)


def start() -> None:
    """At the end: start what starts with the machine anyway. Whether it succeeds is not the installation's affair."""
    for service in _every():
        found = registered(service)
        if found is not None and found.automatic and found.state == win32service.SERVICE_STOPPED:
            with contextlib.suppress(UsageProblem):
                WindowsService(service.configuration).start()


def remove() -> None:
    """Before the last version goes: take the services from the list. Settings, secrets and states stay."""
    standing = {service: registered(service) for service in _every()}
    entries = {
        service.configuration.name: {"account": found.account, "automatic": found.automatic}
        for service, found in standing.items()
        if found is not None
    }
    with contextlib.suppress(RollcallError):  # then they begin as new ones; better than a program that stays for ever
        write_whole(_memory(), json.dumps(entries), 0o600)
    for service in standing:
        unregister(service)
    forget_events()


def purge() -> None:
    """Remove settings, secrets, logs and the state beside them; a state elsewhere stays."""
    shutil.rmtree(default_configuration_file().parent, ignore_errors=True)


_VERBS: Mapping[str, Callable[[], None]] = {
    "stop": stop, "prepare": prepare, "start": start, "remove": remove, "purge": purge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Remembered:
    account: str | None
    automatic: bool | None


def _memory() -> Path:
    return default_configuration_file().with_name("services.json")


def _remembered() -> dict[Service, _Remembered]:
    try:
        entries = json.loads(_memory().read_text(encoding="utf-8"))
        return {
            service_of(default_configuration_file().with_name(name)): _Remembered(entry["account"], entry["automatic"])
            for name, entry in entries.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RollcallError):
        return {}  # then they are as new ones


def _every() -> list[Service]:
    return all_registered(default_configuration_file().parent)


def main(arguments: list[str]) -> int:
    """Do it. Returns an exit code, which the MSI looks at. What went wrong is in the event log, and in logs/msi.log."""
    try:
        _VERBS[arguments[0]]()
    except RollcallError as error:
        _tell(f"{arguments[0]}: {error}")
        return int(error.exit_code)
    except Exception:
        _tell(f"{arguments[0]}: a defect in Rollcall; please report it.\n{traceback.format_exc()}")
        raise
    return 0


def _tell(text: str) -> None:
    """The MSI throws away what its actions print."""
    log = service_of(default_configuration_file()).log.with_name("msi.log")
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:
        file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {text}\n")
    with contextlib.suppress(pywintypes.error):
        servicemanager.SetEventSourceName(SOURCE)
        servicemanager.LogErrorMsg(f"MSI: {text}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
