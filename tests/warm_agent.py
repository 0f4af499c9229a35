"""Agents that start at once: a process that has imported the agent and forks itself for every command.

Importing takes a second, a command some tenths of one, and the tests run hundreds of them. What runs in the fork is
`python -m agent`, in a process of its own that ends as any other: its exit code, output and files are the real ones.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_IMPORTED = ("agent.cli.main", "alembic.command", "connectors.ldap", "connectors.ldif", "httpx", "ldap3")


class WarmAgent:
    """One such process, started at the first command and ended with the tests, by the end of its input."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    def run(self, arguments: list[str], out: Path, err: Path, environment: Mapping[str, str], timeout: float) -> int:
        """Run one command to its end and return its exit code, as `subprocess` counts: negative for a signal."""
        order = {
            "arguments": arguments, "out": str(out), "err": str(err), "directory": str(Path.cwd()),
            "environment": dict(environment), "timeout": timeout,
        }  # fmt: skip
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
    gc.freeze()  # what is imported is not looked through again at the end of every fork: that took longer than the rest
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
            sys.argv = ["rollcall", *order["arguments"]]
            runpy.run_module("agent", run_name="__main__")
            return
        watch = threading.Timer(order["timeout"], os.kill, (child, 9))
        watch.start()
        _, status = os.waitpid(child, 0)
        watch.cancel()
        watch.join()
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(order: dict[str, Any]) -> None:
    """Take on what the order says of the process: directory, environment, standard input and output."""
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
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
