r"""Who may do what below `%PROGRAMDATA%\Rollcall`, where Windows would let every user read and create files.

Rights are given to SYSTEM, to administrators and to the service itself, by its SID: then they hold whatever account it
runs as, and for whatever an administrator's command creates there.

Every user may also make the directory before Rollcall does, and the owner of a directory can always change its rights.
So nothing is believed, or put, into one that belongs to anybody else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pywintypes
import win32api
import win32con
import win32file
import win32security

from agent.errors import StateProblem
from agent.service.windows.names import Service

if TYPE_CHECKING:
    from _win32typing import PySECURITY_DESCRIPTOR

# SDDL: P takes nothing from above; OICI passes on to files and directories; SY is SYSTEM, BA the administrators.
_ADMINISTRATORS = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
_READ = "0x1200a9"  # FILE_GENERIC_READ and FILE_GENERIC_EXECUTE
_MODIFY = "0x1301bf"  # these, FILE_GENERIC_WRITE and DELETE
_TRUSTED = ("S-1-5-18", "S-1-5-32-544")  # SYSTEM, Administrators
_OF_A_STATE = "rollcall.sqlite3"


def make_protected(path: Path) -> None:
    """Make a directory into which nobody but SYSTEM and the administrators may look, from the beginning.

    Raises StateProblem.
    """
    attributes = win32security.SECURITY_ATTRIBUTES()
    attributes.SECURITY_DESCRIPTOR = _descriptor(_ADMINISTRATORS)
    try:
        win32file.CreateDirectory(str(path), attributes)
    except pywintypes.error as error:
        raise StateProblem(f"The directory {path} cannot be created: {error.strerror} Create it yourself.") from error


def refuse_what_belongs_to_others(path: Path) -> None:
    """Say so where a directory is there that a user may have planted. Raises StateProblem."""
    if not os.path.lexists(path):
        return
    if win32file.GetFileAttributes(str(path)) & win32con.FILE_ATTRIBUTE_REPARSE_POINT:
        raise StateProblem(f"{path} leads elsewhere. Remove it, and run this again.")
    security = win32security.GetNamedSecurityInfo(
        str(path), win32security.SE_FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION
    )
    owner = security.GetSecurityDescriptorOwner()
    token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), win32security.TOKEN_QUERY)
    ourselves = win32security.GetTokenInformation(token, win32security.TokenUser)[0]
    if owner != ourselves and win32security.ConvertSidToStringSid(owner) not in _TRUSTED:
        raise StateProblem(
            f"{path} does not belong to the administrators, so whoever made it could read secrets and change settings "
            "there. Look at what is in it, rename it, and run this again."
        )


def give_rights(service: Service, others: Sequence[Service], state: Path | None) -> list[str]:
    """Make the places of a service, and let it in where it has to be. Returns what was left to an administrator.

    others:  what shares the directory of the settings with it
    state:   its state directory; None: nobody knows

    Raises StateProblem.
    """
    refuse_what_belongs_to_others(service.home)
    for path, descriptor in _rights(service, others).items():
        _make(path, descriptor)
    if state is None:
        return []
    if _is_ours(service, state):
        _make(state, _ADMINISTRATORS + _entry(_MODIFY, service.sid))
        return []
    let_in = f'icacls "{state}" /grant "NT SERVICE\\{service.name}:(OI)(CI)M"'
    return [
        f"The state directory {state} holds other things, so its rights stay as they are. Let the service in: {let_in}"
    ]


def _is_ours(service: Service, state: Path) -> bool:
    """Tell whether a directory can be taken from everybody else: it is below ours, new, empty, or holds a state."""
    if state.is_relative_to(service.home):
        return state not in {service.home, service.log.parent, service.credentials}
    try:
        content = {path.name for path in state.iterdir()} if state.exists() else set()
    except OSError:
        return False
    return not content or _OF_A_STATE in content


def _rights(service: Service, others: Sequence[Service]) -> Mapping[Path, str]:
    readers = sorted({service.sid, *(other.sid for other in others)})
    return {
        service.home: _ADMINISTRATORS + "".join(_entry(_READ, sid) for sid in readers),
        service.log.parent: _ADMINISTRATORS + "".join(_entry(_MODIFY, sid) for sid in readers),
        service.credentials: _ADMINISTRATORS + _entry(_READ, service.sid),
    }


def _entry(mask: str, sid: str) -> str:
    return f"(A;OICI;{mask};;;{sid})"


def _make(path: Path, descriptor: str) -> None:
    for place in reversed([path, *path.parents]):
        if not place.exists():
            make_protected(place)
    _set(path, descriptor)


def _descriptor(text: str) -> PySECURITY_DESCRIPTOR:
    return win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(text, win32security.SDDL_REVISION_1)


def _set(path: Path, descriptor: str) -> None:
    security = _descriptor(descriptor)
    try:
        # This one, other than SetFileSecurity, passes the entries on to what is there already.
        win32security.SetNamedSecurityInfo(
            str(path),
            win32security.SE_FILE_OBJECT,
            win32security.OWNER_SECURITY_INFORMATION
            | win32security.DACL_SECURITY_INFORMATION
            | win32security.PROTECTED_DACL_SECURITY_INFORMATION,
            security.GetSecurityDescriptorOwner(), None, security.GetSecurityDescriptorDacl(), None,
        )  # fmt: skip
    except pywintypes.error as error:
        raise StateProblem(
            f"The rights of {path} cannot be set: {error.strerror} Run this as an administrator."
        ) from error
