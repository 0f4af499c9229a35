"""Writing the answers down: the secrets first, each into a file of its own, then the configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agent.cli.init.draft import Draft
from agent.command_line import rollcall
from agent.errors import UsageProblem
from agent.operating_system import encrypted_beside, is_of_the_service, may_write_into
from agent.sealed_secrets import seal
from agent.service.unit import ACCOUNT
from agent.whole_files import FileToWrite, write_together


def refuse_where_nothing_can_be_written(path: Path) -> None:
    """Say so before anybody answers questions for nothing. Raises UsageProblem."""
    if path.is_dir():
        raise UsageProblem(f"{path} is a directory. Name the file to write, like --config {path / 'agent.toml'}.")
    place = path.absolute().parent
    while not os.path.lexists(place):
        place = place.parent
    if not may_write_into(place):
        who = "in a window opened as administrator" if sys.platform == "win32" else "as root (with sudo)"
        raise UsageProblem(
            f"This account may not write into {place}. Run {rollcall('init', path)} {who}, or name another file with "
            "--config."
        )


def write(draft: Draft) -> None:
    """Write everything or nothing; the configuration last, so that there is none without its secrets.

    Raises RollcallError.
    """
    files = [_secret_to_write(path, secret, draft.path) for path, secret in draft.secrets().items()]
    if draft.of_the_service and sys.platform != "win32":
        # Without a directory that LoadCredentialEncrypted= names, systemd starts nothing.
        _make_directory(encrypted_beside(draft.path), draft.path)
    write_together([*files, FileToWrite(draft.path, draft.text(), 0o640, _group_for(draft.path))])


def write_secret(path: Path, secret: str, configuration: Path) -> None:
    """Write a secret of this configuration into a file of its own. Raises RollcallError."""
    write_together([_secret_to_write(path, secret, configuration)])


def _secret_to_write(path: Path, secret: str, configuration: Path) -> FileToWrite:
    _make_directory(path.parent, configuration)
    sealed = seal(secret, path.parent, for_the_service=is_of_the_service(configuration))
    return FileToWrite(path, f"{sealed}\n", 0o600)


def _make_directory(path: Path, configuration: Path) -> None:
    """Make it so that the service may look into it, and nobody else."""
    group = _group_for(configuration)
    for place in reversed([path, *path.parents]):
        if place.exists():
            continue
        if sys.platform == "win32" and is_of_the_service(configuration):
            # Windows would let every user in; what the service needs it gets when it is installed.
            from agent.service.windows.rights import make_protected  # noqa: PLC0415 - not on Linux

            make_protected(place)
            continue
        place.mkdir(mode=0o750)
        if sys.platform != "win32":
            os.chown(place, -1, group)


def _group_for(configuration: Path) -> int:
    """Return the number of the service's group; -1, which changes nothing, where there is none or it is not ours."""
    if sys.platform == "win32" or os.geteuid() != 0 or not is_of_the_service(configuration):
        return -1
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwnam(ACCOUNT).pw_gid
    except KeyError:
        return -1
