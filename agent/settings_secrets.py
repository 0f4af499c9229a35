"""Where secrets come from: the settings, a file, systemd's credentials, or the directory beside the configuration."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from agent.errors import UsageProblem
from agent.operating_system import credentials_beside
from agent.sealed_secrets import open_sealed

# LoadCredential=ID:DIRECTORY gives each file of the directory the name ID_FILE (systemd.exec(5)); the units of the
# packages use these two.
_PREFIXES = ("", "rollcall_", "encrypted_")

_LONGEST_NAME = 24


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
        return None
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
