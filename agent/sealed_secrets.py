"""How a secret lies in its file: on Windows encrypted by the operating system (DPAPI), elsewhere as it is.

What a service reads is encrypted for the machine and not for an account, because an administrator writes it. So that
not every program of the machine can decrypt it, something belongs to it that is in a file beside it, in a directory
into which only the service and administrators may look. Whatever else is encrypted for the account that writes it. A
copy of the disk decrypts nothing on another machine.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import sys
from pathlib import Path

from agent.errors import UsageProblem
from agent.whole_files import write_whole

_MARK = "dpapi:"
_ENTROPY = "entropy"


def seal(secret: str, directory: Path, *, for_the_service: bool) -> str:
    """Return what is to be written for a secret into a file of this directory, which is there. Raises StateProblem."""
    if sys.platform == "win32":
        path = directory / _ENTROPY
        if not path.exists():
            write_whole(path, secrets.token_hex(32), 0o600)
        return _MARK + base64.b64encode(_encrypt(secret.encode(), path.read_bytes(), for_the_service)).decode()
    return secret


def open_sealed(text: str, file: Path) -> str:
    """Return the secret that a file's text stands for, which may also be the secret itself. Raises UsageProblem."""
    if not text.startswith(_MARK):
        return text
    again = "Write the secret anew, with rollcall secret."
    try:
        entropy = file.with_name(_ENTROPY).read_bytes()
        return _decrypt(base64.b64decode(text.removeprefix(_MARK), validate=True), entropy).decode()
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        reason = f"{file.with_name(_ENTROPY)}: {error.strerror}" if isinstance(error, OSError) else "it is damaged"
        raise UsageProblem(f"The file {file} cannot be decrypted: {reason}. {again}") from None
    except _CannotDecrypt as error:
        raise UsageProblem(
            f"The file {file} cannot be decrypted: {error} It was encrypted on another machine, perhaps. {again}"
        ) from None


class _CannotDecrypt(Exception):
    pass


if sys.platform == "win32":
    import pywintypes
    import win32crypt

    # dpapi.h: never ask anybody, a service has no desktop; for every account of this machine.
    _UI_FORBIDDEN, _LOCAL_MACHINE = 0x1, 0x4

    def _encrypt(secret: bytes, entropy: bytes, whole_machine: bool) -> bytes:  # noqa: FBT001 - for one call above
        flags = _UI_FORBIDDEN | (_LOCAL_MACHINE if whole_machine else 0)
        return bytes(win32crypt.CryptProtectData(secret, "Rollcall", entropy, None, None, flags))

    def _decrypt(encrypted: bytes, entropy: bytes) -> bytes:
        try:
            return bytes(win32crypt.CryptUnprotectData(encrypted, entropy, None, None, _UI_FORBIDDEN)[1])
        except pywintypes.error as error:
            raise _CannotDecrypt(error.strerror) from None

else:

    def _decrypt(_encrypted: bytes, _entropy: bytes) -> bytes:
        raise _CannotDecrypt("Only Windows can.")
