"""A Windows of sorts: Wine, with services, an installer and a registry of its own in a directory.

What it is not is written in packaging/guide/windows.md: it checks no rights, has no virtual accounts and does nothing
when a service fails.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import IO, Self

from tests.installed.parts import alone, installers

PROGRAM = PureWindowsPath(r"C:\Program Files\Rollcall")
HOME = PureWindowsPath(r"C:\ProgramData\Rollcall")
PYTHON = str(PROGRAM / "python" / "python.exe")
# Wine 8 has no bcryptprimitives.dll, whose only function Rust's standard library gets its random numbers from.
_RANDOM = """
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE into, SIZE_T wanted)
{
    while (wanted > 0) {
        ULONG now = wanted > 0x100000 ? 0x100000 : (ULONG)wanted;
        if (!RtlGenRandom(into, now)) return FALSE;
        into += now;
        wanted -= now;
    }
    return TRUE;
}
BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved) { return TRUE; }
"""


def prepared() -> Path:
    """Return the directory of a fresh Wine, made once; it is there to be copied."""
    with alone("wine") as directory:
        prefix = directory / "prefix"
        if not (directory / "done").exists():
            shutil.rmtree(prefix, ignore_errors=True)
            environment = _environment(prefix)
            for command in (["wineboot", "--init"], ["wine", "winecfg", "/v", "win10"], ["wineserver", "--wait"]):
                subprocess.run(
                    command, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, timeout=300,
                )  # fmt: skip
            (directory / "random.c").write_text(_RANDOM)
            library = prefix / "drive_c" / "windows" / "system32" / "bcryptprimitives.dll"
            subprocess.run(
                ["x86_64-w64-mingw32-gcc", "-O2", "-s", "-shared", "-o", str(library), str(directory / "random.c"),
                 "-ladvapi32"],
                check=True,
            )  # fmt: skip
            (directory / "done").touch()
        return prefix


def with_rollcall() -> Path:
    """Return the directory of a Wine into which the MSI of this tree has been installed, made once."""
    package = installers().msi
    with alone(f"wine-{package.parent.name}") as directory:
        prefix = directory / "prefix"
        if not (directory / "done").exists():
            shutil.rmtree(prefix, ignore_errors=True)
            with Wine(prefix, prepared(), keep=True) as wine:
                wine.msi("/i", str(package))
            (directory / "done").touch()
        return prefix


class Wine:
    """Use as a context manager.

    prefix:  where it will be; as large as 800 MB
    base:    the one that it begins as, which stays as it is
    """

    def __init__(self, prefix: Path, base: Path, *, keep: bool = False) -> None:
        self._prefix = prefix
        self._base = base
        self._keep = keep

    def __enter__(self) -> Self:
        subprocess.run(["cp", "--archive", "--reflink=auto", str(self._base), str(self._prefix)], check=True)
        # Services end with the last program that is none. This one ends with its input.
        self._resident = subprocess.Popen(
            ["wine", "cmd"], env=_environment(self._prefix), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_error: object) -> None:
        self.shut_down()
        if not self._keep:
            shutil.rmtree(self._prefix, ignore_errors=True)

    def shut_down(self) -> None:
        """End everything; the registry is written to the disk."""
        if self._resident.poll() is not None:
            return
        assert self._resident.stdin is not None
        self._resident.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server("--wait", 20)
        self._server("--kill", 20)
        self._resident.wait(timeout=20)

    def _server(self, what: str, seconds: float) -> None:
        subprocess.run(["wineserver", what], env=_environment(self._prefix), check=False, timeout=seconds)

    def path(self, windows: PureWindowsPath) -> Path:
        """Return where a path of drive C is on this machine."""
        return self._prefix.joinpath("drive_c", *windows.parts[1:])

    def write(self, windows: PureWindowsPath, text: str | bytes) -> None:
        """Write a file of drive C."""
        content = text.encode() if isinstance(text, str) else text
        self.path(windows).parent.mkdir(parents=True, exist_ok=True)
        self.path(windows).write_bytes(content)

    def run(self, *command: str, code: int | None = 0, timeout: float = 60, text: str = "") -> str:
        """Run a program and return what it printed.

        code:  the exit code that it has to have
        text:  what it reads
        """
        ours, its = os.pipe()
        with self._started(command, its) as process, os.fdopen(ours, "rb", buffering=0) as pipe:
            os.close(its)
            assert process.stdin is not None
            process.stdin.write(text.encode())
            process.stdin.close()
            printed = _printed(process, pipe, timeout).decode(errors="replace").replace("\r\n", "\n")
        assert code is None or process.returncode == code, f"{command} ended with {process.returncode}: {printed}"
        return printed

    def _started(self, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["wine", *command], env=_environment(self._prefix), stdin=subprocess.PIPE, stdout=output,
            stderr=subprocess.STDOUT,
        )  # fmt: skip

    def python(self, script: str, code: int | None = 0, timeout: float = 60) -> str:
        """Run something in the installed Python, and return what it printed."""
        return self.run(PYTHON, "-I", "-c", script, code=code, timeout=timeout)

    def rollcall(self, *arguments: str, code: int | None = 0, text: str = "") -> str:
        """Run a command of the installed agent as an administrator does, but for the .cmd around it."""
        return self.run(PYTHON, "-I", "-m", "agent", *arguments, code=code, text=text)

    def products(self) -> list[str]:
        """Return the versions of Rollcall that the installer has on its list."""
        printed = self.python(
            "import winreg as r; k = r.OpenKey(r.HKEY_LOCAL_MACHINE, "
            "r'SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall');"
            "names = [r.EnumKey(k, i) for i in range(r.QueryInfoKey(k)[0])];"
            "[print(r.QueryValueEx(r.OpenKey(k, n), 'DisplayVersion')[0]) for n in names"
            " if r.QueryValueEx(r.OpenKey(k, n), 'DisplayName')[0] == 'Rollcall']"
        )
        return printed.split()

    def msi(self, *arguments: str, code: int | None = 0) -> None:
        """Have the installer do something silently."""
        # `start` gives it a console of its own; else its programs get handles that are none.
        self.run("start", "/wait", "msiexec", *arguments, "/qn", code=code, timeout=120)

    def state_of(self, service: str) -> str:
        """Return the state of a service as sc.exe calls it, or "" where there is none."""
        printed = self.run("sc", "query", service, code=None)
        return next((line.split()[-1] for line in printed.splitlines() if line.strip().startswith("STATE")), "")

    def exit_codes_of(self, service: str) -> Sequence[int]:
        """Return the two exit codes of a service: that of Windows, and the service's own."""
        printed = self.run("sc", "query", service)
        return [
            int(line.split()[2])
            for name in ("WIN32_EXIT_CODE", "SERVICE_EXIT_CODE")
            for line in printed.splitlines()
            if line.strip().startswith(name)
        ]

    def wait_for_state(self, service: str, wanted: str, seconds: float = 60) -> None:
        """Wait for a service."""
        wait_until(lambda: self.state_of(service) == wanted, seconds, lambda: self.run("sc", "query", service))


def _printed(process: subprocess.Popen[bytes], pipe: IO[bytes], timeout: float) -> bytes:
    """Read until the program has ended: what it leaves running, Wine's own processes too, holds on to the pipe."""
    deadline, printed = time.monotonic() + timeout, b""
    while True:
        ended = process.poll() is not None
        if select.select([pipe], [], [], 0.05)[0]:
            some = pipe.read(65536)
            printed += some
            if some:
                continue
        if ended:
            return printed
        if time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"{process.args!r} did not end: {printed.decode(errors='replace')}")


def wait_until(reached: Callable[[], bool], seconds: float, explained: Callable[[], str]) -> None:
    """Wait for a condition, or fail with what explains it."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, explained()
        time.sleep(0.3)


def _environment(prefix: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DISPLAY"))}
    # No window, no Mono, no Gecko.
    return kept | {
        "WINEPREFIX": str(prefix),
        "WINEDEBUG": "-all",
        "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
    }
