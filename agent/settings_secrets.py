"""Where secrets come from: the settings, a file, or systemd's credentials."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from agent.errors import UsageProblem

# LoadCredential=ID:DIRECTORY gives each file of the directory the name ID_FILE (systemd.exec(5)); the units of the
# packages use these two.
_PREFIXES = ("", "rollcall_", "encrypted_")


def resolve_secret(value: SecretStr | None, file: Path | None, credential: str, where: str) -> SecretStr | None:
    """Return a secret from its value, else its file, else systemd's credentials directory under `credential`.

    `where` names the setting for messages, which never contain the secret. Raises UsageProblem.
    """
    if value is not None:
        return value
    if file is None:
        file = _credential(credential)
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageProblem(
            f"{where}: the file {file} cannot be read: {reason}. Correct the path or its rights."
        ) from None
    if not text:
        raise UsageProblem(f"{where}: the file {file} is empty. Write the secret into it, as one line.")
    return SecretStr(text)


def _credential(name: str) -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return None
    candidates = (Path(directory) / f"{prefix}{name}" for prefix in _PREFIXES)
    return next((path for path in candidates if path.exists()), None)
