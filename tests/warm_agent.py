"""Agents that start at once: a process that has imported the agent and forks itself for every command.

Importing takes a second, a command some tenths of one, and the tests run hundreds of them. What runs in the fork is
`python -m agent`, in a process of its own that ends as any other: its exit code, output and files are the real ones.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tests.warm_statements import compile_once

_IMPORTED = (
    "agent.cli.main", "alembic.command", "connectors.ldap", "connectors.ldif", "httpx", "ldap3",
    # What Python would import later: an agent that goes on as another account may not read the Python of this one.
    "_strptime", "concurrent.futures.thread", "encodings.ascii", "encodings.idna", "encodings.utf_8_sig", "httpcore",
)  # fmt: skip


class RunningAgent:
    """An agent that was started; used as a `subprocess.Popen` is."""

    def __init__(self, warm: WarmAgent, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._warm = warm
        self._end = os.pidfd_open(pid)
        self._reaping = threading.Lock()

    def wait(self, timeout: float = float("inf")) -> int:
        """Wait for its end and return its exit code, negative for a signal. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the agent still runs after {timeout} s")
            time.sleep(0.005)
        return code

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        with self._reaping:
            if self.returncode is None and select.select([self._end], [], [], 0)[0]:
                os.close(self._end)
                self.returncode = self._warm.ask({"wait": self.pid})
            return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with self._reaping:
            if self.returncode is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class WarmAgent:
    """One process that forks, started at the first command and ended with the tests, by the end of its input."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    def start(self, arguments: list[str], out: Path, err: Path, environment: Mapping[str, str]) -> RunningAgent:
        """Start a command, with its output in two files."""
        order = {"arguments": arguments, "out": str(out), "err": str(err), "directory": str(Path.cwd())}
        return RunningAgent(self, self.ask({"start": order | {"environment": dict(environment)}}))

    def ask(self, order: dict[str, Any]) -> int:
        """Have one order carried out and return the answer."""
        with self._one_at_a_time:
            process = self._process = self._process or _started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        assert answer, "the process that starts agents is gone"
        return int(answer)


def _started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.warm_agent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip


def _serve() -> None:
    for module in _IMPORTED:
        __import__(module)
    compile_once()
    gc.freeze()  # what is imported is not looked through again at the end of every fork: that took longer than the rest
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _become(order["start"])
                _run_to_its_end()
        print(answer, flush=True)  # noqa: T201 - the answer, to the tests


def _run_to_its_end() -> NoReturn:
    """Run the agent, and end as Python ends, but for taking itself apart: that took a fifth of a short command."""
    code: str | int | None = None
    try:
        runpy.run_module("agent", run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    assert code is None or isinstance(code, int)
    threading._shutdown()  # type: ignore[attr-defined] - waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _become(order: dict[str, Any]) -> None:
    """Take on what the order says of the process: directory, environment, arguments, standard input and output."""
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["rollcall", *order["arguments"]]
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, order["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, order["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # The standard streams' objects belong to the parent's input and its pipe; these ones are of this process.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in ((0, "r"), (1, "w"), (2, "w")))


if __name__ == "__main__":
    _serve()
