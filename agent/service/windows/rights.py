r"""Who may do what below `%PROGRAMDATA%\Rollcall`, where Windows would let every user read and create files.

Rights are given to SYSTEM, to administrators and to the service itself, by its SID: then they hold whatever account it
runs as, and for whatever an administrator's command creates there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pywintypes
import win32security

from agent.errors import StateProblem
from agent.service.windows.names import Service

# SDDL: P takes nothing from above; OICI passes on to files and directories; SY is SYSTEM, BA the administrators.
_ADMINISTRATORS = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
_READ = "0x1200a9"  # FILE_GENERIC_READ and FILE_GENERIC_EXECUTE
_MODIFY = "0x1301bf"  # these, FILE_GENERIC_WRITE and DELETE


def protect(path: Path) -> None:
    """Let nobody but SYSTEM and the administrators into a directory. Raises StateProblem."""
    _set(path, _ADMINISTRATORS)


def give_rights(service: Service, others: Sequence[Service], state: Path) -> None:
    """Make the places of a service, and let it in where it has to be. Raises StateProblem.

    others:  what shares the directory of the settings with it
    """
    for path, descriptor in _rights(service, others, state).items():
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateProblem(
                f"The directory {path} cannot be created: {error.strerror}. Create it yourself."
            ) from error
        _set(path, descriptor)


def _rights(service: Service, others: Sequence[Service], state: Path) -> Mapping[Path, str]:
    readers = sorted({service.sid, *(other.sid for other in others)})
    everyone = "".join(_entry(_READ, sid) for sid in readers)
    return {
        service.home: _ADMINISTRATORS + everyone,
        service.log.parent: _ADMINISTRATORS + "".join(_entry(_MODIFY, sid) for sid in readers),
        service.credentials: _ADMINISTRATORS + _entry(_READ, service.sid),
        state: _ADMINISTRATORS + _entry(_MODIFY, service.sid),
    }


def _entry(mask: str, sid: str) -> str:
    return f"(A;OICI;{mask};;;{sid})"


def _set(path: Path, descriptor: str) -> None:
    try:
        security = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
            descriptor, win32security.SDDL_REVISION_1
        )
        # This one, other than SetFileSecurity, passes the entries on to what is there already.
        win32security.SetNamedSecurityInfo(
            str(path),
            win32security.SE_FILE_OBJECT,
            win32security.DACL_SECURITY_INFORMATION | win32security.PROTECTED_DACL_SECURITY_INFORMATION,
            None, None, security.GetSecurityDescriptorDacl(), None,
        )  # fmt: skip
    except pywintypes.error as error:
        raise StateProblem(
            f"The rights of {path} cannot be set: {error.strerror} Run this as an administrator."
        ) from error
