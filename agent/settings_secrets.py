"""Where secrets come from: the settings, a file, systemd's credentials, or the directory beside the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pydantic import SecretStr

from agent.errors import UsageProblem
from agent.operating_system import credentials_beside, encrypted_beside
from agent.sealed_secrets import open_sealed

# LoadCredential=ID:DIRECTORY gives each file of the directory the name ID_FILE (systemd.exec(5)); the units of the
# packages use these two.
_PREFIXES = ("", "rollcall_", "encrypted_")

_LONGEST_NAME = 24

# In the place of a secret that only systemd can decrypt. One of them has to be an address.
_STANDS_IN = "https://encrypted.invalid/"
_encrypted_ones_count: ContextVar[bool] = ContextVar("encrypted secrets count as set", default=False)


@contextmanager
def with_encrypted_ones() -> Iterator[None]:
    """Have an encrypted secret count as set, though not with its own value: the service will find it.

    For who looks at the other settings, and contacts nothing.
    """
    before = _encrypted_ones_count.set(True)
    try:
        yield
    finally:
        _encrypted_ones_count.reset(before)


def told_of_encrypted(credential: str, configuration: Path) -> str:
    """Say how a command gets at a secret that was not found, because it is encrypted; empty where none is."""
    file = encrypted_beside(configuration) / credential
    if not file.is_file():
        return ""
    return (
        f"{file} is encrypted for the service alone. How systemd runs a command with it is in the guide: install.md, "
        '"Where things are".'
    )


def resolve_secret(
    value: SecretStr | None, file: Path | None, credential: str, where: str, configuration: Path
) -> SecretStr | None:
    """Return a secret from its value, else its file, else a file named `credential` in one of the directories.

    `where` names the setting for messages, which never contain the secret. Raises UsageProblem.
    """
    if value is not None:
        return value
    if file is None:
        file = _credential(credential, configuration)
    if file is None:
        there = _encrypted_ones_count.get() and (encrypted_beside(configuration) / credential).is_file()
        return SecretStr(_STANDS_IN) if there else None
    try:
        # Notepad begins with a byte order mark, which is no part of the secret.
        text = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageProblem(
            f"{where}: the file {_told(file)} cannot be read: {reason}. Correct the path or its rights."
        ) from None
    if not text:
        raise UsageProblem(f"{where}: the file {file} is empty. Write the secret into it, as one line.")
    return SecretStr(open_sealed(text, file))


def _told(file: Path) -> Path:
    """Shorten long names: somebody may have written the secret itself where its file belongs."""
    return Path(*(part if len(part) <= _LONGEST_NAME else f"{part[:4]}…" for part in file.parts))


def _credential(name: str, configuration: Path) -> Path | None:
    candidates = [credentials_beside(configuration) / name]
    if directory := os.environ.get("CREDENTIALS_DIRECTORY"):
        # What systemd has handed over comes first: it may be encrypted on disk.
        candidates[0:0] = [Path(directory) / f"{prefix}{name}" for prefix in _PREFIXES]
    return next((path for path in candidates if _may_be_there(path)), None)


def _may_be_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True  # reading it tells of the rights; that nothing is set would be wrong
    except OSError:
        return False
    return True
