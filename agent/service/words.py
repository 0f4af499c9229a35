"""How a unit stands, in plain words: systemd's own are for whoever knows systemd."""

from __future__ import annotations

from collections.abc import Mapping

from agent.errors import ExitCode
from agent.service.installed import Standing

SHOWN = (
    "LoadState", "ActiveState", "UnitFileState", "ActiveEnterTimestamp", "InactiveEnterTimestamp", "StatusText",
    "Result", "ExecMainStatus", "ConditionResult",
)  # fmt: skip

# Exit codes of the program, and those of systemd when it could not begin (systemd.exec(5), "Process exit codes").
_WHY = {
    int(ExitCode.USAGE): "The settings or the state cannot be used: rollcall check tells why.",
    int(ExitCode.LATER): (
        "Something is in its way that may pass, like another Rollcall that works with the state, a full disk, or a "
        "state that this account may not write. It is tried again every minute."
    ),
    203: "Its program is not there, or cannot be run: rollcall service uninstall, then rollcall service install.",
    238: "Its state directory cannot be made or used: look at its owner, and whether the disk is full.",
    243: "The directory of its secrets is not there or cannot be read: rollcall service install makes it.",
}


def in_plain_words(name: str, found: Mapping[str, str], remedy: str) -> Standing:
    """Say how it stands. found: what systemctl shows; remedy: how it is started, if it does not run."""
    state = found["ActiveState"]
    if found["LoadState"] == "not-found":
        return Standing(well=False, lines=(f"{name} is not installed. Run rollcall service install.",))
    if found["LoadState"] == "masked":
        masked = f"{name} is masked, so nothing can start it: systemctl unmask {name}, then rollcall service install."
        return Standing(well=False, lines=(masked,))
    boots = "It starts with the machine." if found["UnitFileState"] == "enabled" else (
        "It does not start with the machine: rollcall service install."
    )  # fmt: skip
    if state == "active":
        said = (f"It says: {found['StatusText']}.",) if found["StatusText"] else ()
        since = f"{name} is active, since {found['ActiveEnterTimestamp'] or 'just now'}."
        return Standing(well=True, lines=(since, *said, boots))
    if state == "reloading":
        return Standing(well=True, lines=(f"{name} is active, and takes new settings over.", boots))
    if state in {"failed", "activating"}:
        what = "has failed" if state == "failed" else "is on its way, or is started again after a failure"
        return Standing(well=False, lines=(f"{name} {what}. {_why(found)} See journalctl --unit {name}.", boots))
    since = f", since {found['InactiveEnterTimestamp']}" if found["InactiveEnterTimestamp"] else ""
    return Standing(well=False, lines=(f"{name} is not active{since}. {remedy}", boots))


def _why(found: Mapping[str, str]) -> str:
    status = found["ExecMainStatus"]
    known = _WHY.get(int(status)) if status.isdecimal() else None
    return known or f"The reason is {found['Result'] or 'not known'}."
