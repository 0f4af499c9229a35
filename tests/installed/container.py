"""A Debian with a real systemd as its first process, in namespaces of its own, on a machine that may have none.

systemd-nspawn wants a running systemd and its cgroup tree around it. Here it gets a mount and a cgroup namespace of its
own, in which /run is empty and /sys/fs/cgroup is cgroup2. The file system is an overlay: what a test does to it is gone
with the test.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_BOOT_SECONDS = 60
_BEGIN = """
set -e
mount -t overlay overlay -o lowerdir={base},upperdir={own}/upper,workdir={own}/work {own}/root
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/{name}
echo $$ > /sys/fs/cgroup/{name}/cgroup.procs
exec systemd-nspawn --quiet --directory={own}/root --boot --console=pipe --register=no --keep-unit \
    --machine={name} --private-network --capability=all --system-call-filter=bpf
"""
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, setns(2)


class Container:
    """Use as a context manager; it needs root.

    base:       a root file system, which stays as it is
    directory:  an empty directory for what is changed
    """

    def __init__(self, base: Path, directory: Path) -> None:
        self._base, self._own = base, directory
        self._name = f"rollcall-{os.getpid()}-{directory.name}"[:60]
        self.root = directory / "root"
        self._leader = 0

    def __enter__(self) -> Self:
        for name in ("root", "upper", "work"):
            (self._own / name).mkdir()
        script = _BEGIN.format(base=self._base, own=self._own, name=self._name)
        self._console = (self._own / "console").open("wb")
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--cgroup", "--propagation", "private", "bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + _BOOT_SECONDS
        while not self._has_booted():
            if self._process.poll() is not None or time.monotonic() > deadline:
                console = (self._own / "console").read_text(errors="replace")
                raise RuntimeError(f"the container does not boot: {console}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_error: object) -> None:
        # SIGRTMIN+4: systemd powers the container off (systemd(1)).
        if self._leader:
            os.kill(self._leader, signal.SIGRTMIN + 4)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._console.close()
        shutil.rmtree(self._own / "upper", ignore_errors=True)

    def run(self, *command: str, timeout: float = 120, check: bool = True) -> str:
        """Run a command as root inside. Returns what it printed, errors too."""
        done = subprocess.run(
            self.inside(*command),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=timeout,
        )  # fmt: skip
        printed = done.stdout.decode(errors="replace")  # a database, for one, is no text
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {printed}"
        return printed

    def code_of(self, *command: str) -> int:
        """Run a command as root inside, and return its exit code."""
        return subprocess.run(
            self.inside(*command), stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file inside."""
        content = text.encode() if isinstance(text, str) else text
        subprocess.run(self.inside("sh", "-c", f"cat > '{path}' && chmod {mode:o} '{path}'"), input=content, check=True)

    def property_of(self, unit: str, name: str) -> str:
        """Return a property of a unit, as systemctl shows it."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()

    def journal(self, unit: str) -> str:
        """Return what a unit has logged."""
        return self.run("journalctl", "--unit", unit, "--no-pager", "--output", "cat")

    @contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread, and the processes and sockets it makes, be in the container's network: its loopback."""
        libc = ctypes.CDLL(None, use_errno=True)

        def enter(path: str) -> None:
            with Path(path).open("rb") as namespace:
                if libc.setns(namespace.fileno(), _NEW_NETWORK) != 0:
                    raise OSError(ctypes.get_errno(), f"setns to {path}")

        with Path("/proc/thread-self/ns/net").open("rb") as own:
            enter(f"/proc/{self._leader}/ns/net")
            try:
                yield
            finally:
                libc.setns(own.fileno(), _NEW_NETWORK)

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs another one as root inside."""
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        return ["nsenter", "--target", str(self._leader), *spaces, "--", *command]

    def _has_booted(self) -> bool:
        if not self._leader:
            found = subprocess.run(
                ["pgrep", "--parent", str(self._process.pid), "--exact", "systemd"], capture_output=True, check=False
            ).stdout.split()
            self._leader = int(found[0]) if found else 0
            return False
        told = subprocess.run(
            self.inside("systemctl", "is-system-running"), capture_output=True, text=True, check=False
        ).stdout.strip()
        return told in {"running", "degraded"}
