"""What differs between Linux and Windows, in one place: paths, file rights, locks, ports and signals."""

from __future__ import annotations

import errno
import getpass
import io
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from agent.errors import AnotherAgentRuns, StateProblem

LOCK_NAME = "rollcall.lock"
_ROOM = 1 << 16  # bytes: SQLite begins with 32 KiB for the index of its journal


def account_name() -> str:
    """Return the name of the account that runs this command, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # which of them depends on the version of Python
        if sys.platform == "win32":
            return "unknown account"
        return f"account {os.getuid()}"


def default_state_directory() -> Path:
    """Return where the state is kept when the settings do not say it."""
    if sys.platform == "win32":
        return _program_data() / "Rollcall" / "state"
    return Path("/var/lib/rollcall")


def default_configuration_file() -> Path:
    """Return the configuration file that is used without --config."""
    if sys.platform == "win32":
        return _program_data() / "Rollcall" / "agent.toml"
    return Path("/etc/rollcall/agent.toml")


def is_of_the_service(configuration: Path) -> bool:
    """Tell whether this is a file that an installed service reads."""
    return configuration.absolute().parent == default_configuration_file().parent


def state_directory_of(configuration: Path) -> Path:
    """Return where the state of a configuration file is kept when it does not say so: no two services share one."""
    if is_of_the_service(configuration) and configuration.name != default_configuration_file().name:
        return default_state_directory() / configuration.stem
    return default_state_directory()


def credentials_beside(configuration: Path) -> Path:
    """Return the directory with the secrets of a configuration file, as the units of the packages name it.

    Two files in one directory are two connections: neither may take the other's token.
    """
    own = "credentials" if configuration.name == "agent.toml" else f"{configuration.stem}.credentials"
    return configuration.absolute().parent / own


def encrypted_beside(configuration: Path) -> Path:
    """Return the directory with the secrets that systemd alone can read, as the units of the packages name it."""
    secrets = credentials_beside(configuration)
    return secrets.with_name(f"{secrets.name}.encrypted")


def write_as_utf8() -> None:
    """Have what is not written to a window written as UTF-8, as JSON has to be (RFC 8259) and as names need it.

    Windows takes the code page of the country for it, and Python fails at the first sign that this has not.
    """
    if sys.platform == "win32":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
                stream.reconfigure(encoding="utf-8")


def may_write_into(directory: Path) -> bool:
    """Tell whether this account may make files in a directory that is there."""
    if sys.platform == "win32":
        # There os.access looks at the read-only attribute alone.
        with suppress(OSError), tempfile.TemporaryFile(dir=directory):
            return True
        return False
    return os.access(directory, os.W_OK | os.X_OK)


def why_no_room(directory: Path) -> str:
    """Say why a directory that may be written takes no more data, mostly because the disk is full; empty: it does."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(_ROOM))
            file.flush()
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return error.strerror or str(error)
    # Of what is free root may use more than the service.
    return "" if free >= _ROOM else os.strerror(errno.ENOSPC)


def make_private_directory(path: Path) -> None:
    """Create `path` for this account alone.

    On Windows what is below the directory of the services inherits its rights, which keep everybody else out: 0o700
    would also keep out the service, when an administrator's command comes first.

    Raises StateProblem.
    """
    shared = sys.platform == "win32" and path.is_relative_to(default_configuration_file().parent)
    try:
        path.mkdir(mode=0o777 if shared else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateProblem(
            f"The state directory {path} cannot be created: {error.strerror}. "
            "Set [agent] state_dir to a directory this account may write, or run as the service account."
        ) from error
    if not may_write_into(path):
        raise StateProblem(
            f"The state directory {path} may not be written by this account. "
            "Run as the service account, or correct the rights of the directory."
        )


def open_private_file(path: Path, mode: Literal["ab", "a+b"]) -> IO[bytes]:
    """Open a file beside the state for appending, unbuffered; a new one is for this account alone.

    On Windows it has the rights of its directory. Raises StateProblem.
    """
    try:
        return open(path, mode, buffering=0, opener=_for_this_account)
    except OSError as error:
        # Mostly it was made by another account: somebody has run a command as root.
        raise StateProblem(
            f"The file {path} cannot be opened: {error.strerror}. Run as the service account, or correct the owner "
            "and the rights of the file."
        ) from error


def _for_this_account(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


@contextmanager
def single_writer(state_directory: Path) -> Iterator[None]:
    """Hold the operating system's lock on this state; it ends with the process, however that ends.

    Raises AnotherAgentRuns at once when another process holds it, and StateProblem when the lock cannot be opened.
    """
    path = state_directory / LOCK_NAME
    with open_private_file(path, "a+b") as file:
        if not _try_lock(file):
            raise AnotherAgentRuns(
                f"Another Rollcall is working with the state in {state_directory} (its lock file is {path}). "
                "Wait for it to end, or stop the service first."
            )
        try:
            yield
        finally:
            _unlock(file)


if sys.platform == "win32":
    import ctypes
    import msvcrt

    _COMMON_APPDATA = 0x23  # CSIDL_COMMON_APPDATA of ShlObj.h
    _MAX_PATH = 260

    def _program_data() -> Path:
        # Not the variable PROGRAMDATA, which an account may have set to something else than the service has.
        path = ctypes.create_unicode_buffer(_MAX_PATH)
        ctypes.windll.shell32.SHGetFolderPathW(None, _COMMON_APPDATA, None, 0, path)
        return Path(path.value or r"C:\ProgramData")

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def share_no_port(listener: socket.socket) -> None:
    """Have a port that somebody listens at refused when `listener` is bound, and one of a former process not.

    What SO_REUSEADDR allows on Linux needs nothing on Windows, where it would let two programs listen at one port.
    """
    if sys.platform == "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def on_stop_signal(handler: Callable[[], None]) -> None:
    """Call `handler` when the process is asked to end: SIGTERM, SIGINT, and Ctrl-Break on Windows."""
    names = ["SIGTERM", "SIGINT"] + (["SIGBREAK"] if sys.platform == "win32" else [])
    for name in names:
        signal.signal(getattr(signal, name), lambda _number, _frame: handler())


def on_reload_signal(handler: Callable[[], None]) -> None:
    """Call `handler` on SIGHUP. Windows has no such signal: there a service is restarted instead."""
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, lambda _number, _frame: handler())
