"""Where secrets come from: the settings, a file, or systemd's credentials."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import SecretStr

from agent.errors import UsageProblem


def resolve_secret(value: SecretStr | None, file: Path | None, credential: str, where: str) -> SecretStr | None:
    """Return a secret from its value, else its file, else systemd's credentials directory under `credential`.

    `where` names the setting for messages, which never contain the secret. Raises UsageProblem.
    """
    if value is not None:
        return value
    if file is None:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")  # systemd.exec(5), LoadCredential=
        candidate = Path(directory) / credential if directory else None
        if candidate is None or not candidate.exists():
            return None
        file = candidate
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
