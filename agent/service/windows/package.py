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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import win32service

from agent.connection import connect
from agent.errors import RollcallError, UsageProblem
from agent.operating_system import default_configuration_file, default_state_directory, write_whole
from agent.service.windows.installed import WindowsService
from agent.service.windows.names import Service, service_of
from agent.service.windows.registration import all_registered, register, registered, unregister


def stop() -> None:
    """Before files are replaced or removed: end what runs from them."""
    for service in _every():
        WindowsService(service.configuration).stop()


def prepare() -> None:
    """After files have been put there: every service is on the list as this version wants it.

    The first one is there from now on, so that the directories have their rights before a secret is in them.
    """
    known = {service: _Remembered(None, None) for service in [service_of(default_configuration_file()), *_every()]}
    for service, remembered in (known | _remembered()).items():
        register(service, _state_of(service), remembered.account, automatic=remembered.automatic)
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
    write_whole(_memory(), json.dumps(entries), 0o600)
    for service in standing:
        unregister(service)


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


def _state_of(service: Service) -> Path:
    try:
        return connect(service.configuration).settings.agent.state_dir
    except RollcallError:  # not configured yet; rollcall service install looks again
        return default_state_directory()


def main(arguments: list[str]) -> int:
    """Do it. Returns an exit code, which the MSI looks at."""
    try:
        _VERBS[arguments[0]]()
    except RollcallError as error:
        print(f"rollcall: {error}", file=sys.stderr)  # noqa: T201 - the MSI has no other way to hear
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
