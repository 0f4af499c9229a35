"""Whether the account of the service may read what the settings name: root, who writes them, may read everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pwd import struct_passwd

from agent.connection import Connection

# Run by the account itself: nothing else tells what it may do, with all its groups, access lists and mounts.
_TRY = """
import json, sys
troubles = {}
for path in json.loads(sys.argv[1]):
    try:
        open(path, "rb").close()
    except OSError as error:
        troubles[path] = error.strerror
print(json.dumps(troubles))
"""


def files_of(connection: Connection, configuration: Path) -> list[Path]:
    """Return the files that the settings name, and that of the settings."""
    named = _named(connection.settings.model_dump(mode="python"))
    return sorted({configuration.absolute(), *(Path(path) for path in named)})


def unreadable(files: Sequence[Path], account: struct_passwd) -> dict[str, str]:
    """Return which of the files the account cannot read, and why; or the Python that runs this."""
    try:
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        done = subprocess.run(  # noqa: S603 - this very Python
            [sys.executable, "-I", "-c", _TRY, json.dumps([str(path) for path in files])],
            user=account.pw_uid, group=account.pw_gid, extra_groups=groups, cwd="/", env={},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except PermissionError as error:
        return {sys.executable: error.strerror or "it may not be run"}
    if done.returncode != 0:
        return {sys.executable: "it does not run for this account"}
    troubles: dict[str, str] = json.loads(done.stdout)
    return troubles


def _named(value: object, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _named(item, str(inner))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item)
    elif (key == "file" or key.endswith("_file")) and isinstance(value, str | Path) and str(value):
        yield str(value)
