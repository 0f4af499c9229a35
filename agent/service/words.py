"""How a unit stands, in plain words: systemd's own are for whoever knows systemd. And what a service leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from agent.errors import ExitCode
from agent.observe.audit_file import FILE_NAME as TRAIL
from agent.operating_system import LOCK_NAME, credentials_beside, encrypted_beside
from agent.service.installed import Standing
from agent.state.database import FILE_NAME as DATABASE

SHOWN = (
    "LoadState", "ActiveState", "UnitFileState", "ActiveEnterTimestamp", "InactiveEnterTimestamp", "StatusText",
    "Result", "ExecMainStatus", "ConditionResult",
)  # fmt: skip


def in_plain_words(name: str, found: Mapping[str, str], remedy: str, command: Callable[[str], str]) -> Standing:
    """Say how it stands.

    found:    what systemctl shows
    remedy:   how it is started, if it does not run
    command:  makes a command of its words, for the connection that it is about
    """
    state, install = found["ActiveState"], command("service install")
    if found["LoadState"] == "not-found":
        return Standing(well=False, lines=(f"{name} is not installed. Run {install}.",))
    if found["LoadState"] == "masked":
        masked = f"{name} is masked, so nothing can start it: systemctl unmask {name}, then {install}."
        return Standing(well=False, lines=(masked,))
    boots = "It starts with the machine." if found["UnitFileState"] == "enabled" else (
        f"It does not start with the machine: {install}."
    )  # fmt: skip
    if state == "active":
        said = (f"It says: {found['StatusText'].removesuffix('.')}.",) if found["StatusText"] else ()
        since = f"{name} is active, since {found['ActiveEnterTimestamp'] or 'just now'}."
        return Standing(well=True, lines=(since, *said, boots))
    if state == "reloading":
        return Standing(well=True, lines=(f"{name} is active, and takes new settings over.", boots))
    if state in {"failed", "activating"}:
        what = "has failed" if state == "failed" else "is on its way, or is started again after a failure"
        why = _why(found, command)
        return Standing(well=False, lines=(f"{name} {what}. {why} See journalctl --unit {name}.", boots))
    since = f", since {found['InactiveEnterTimestamp']}" if found["InactiveEnterTimestamp"] else ""
    return Standing(well=False, lines=(f"{name} is not active{since}. {remedy}", boots))


def _why(found: Mapping[str, str], command: Callable[[str], str]) -> str:
    # Exit codes of the program, and those of systemd when it could not begin (systemd.exec(5), "Process exit codes").
    known = {
        str(int(ExitCode.USAGE)): (f"The settings or the state cannot be used: {command('check')} tells why."),
        str(int(ExitCode.LATER)): (
            "Something is in its way that may pass, like another Rollcall that works with the state, a full disk, or a "
            f"state that this account may not write; or the state is damaged: {command('check')} tells. It is tried "
            "again every minute."
        ),
        "203": (
            f"Its program is not there, or cannot be run: {command('service uninstall')}, then "
            f"{command('service install')}."
        ),
        "238": "Its state directory cannot be made or used: look at its owner, and whether the disk is full.",
        "243": (
            f"The directory of its secrets is not there or cannot be read: {command('service install')} makes it; or "
            'an encrypted secret was made on another machine ("incorrect key" in the journal): remove its file, and '
            f"write the secret again with {command('secret NAME')}."
        ),
    }
    return known.get(found["ExecMainStatus"]) or f"The reason is {found['Result'] or 'not known'}."


def what_stays(configuration: Path, state_directory: Path) -> str:
    """Name what is left when the service is gone: the directories may hold other connections, too."""
    secrets = (credentials_beside(configuration), encrypted_beside(configuration))
    trail = Path(TRAIL)
    parts = [
        f"the settings {configuration.absolute()}",
        *(f"the secrets {directory}" for directory in secrets if directory.is_dir()),
        f"the state {state_directory / DATABASE}* and {state_directory / LOCK_NAME}",
        f"the audit trail {state_directory / trail.stem}*{trail.suffix}",
    ]
    return f"What stays, to be removed by hand if nobody needs it any more: {', '.join(parts)}."
