"""A command on a terminal of its own, and somebody who reads what it says and types answers."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

# The command leads a session, and the terminal that it opens first is the one that Ctrl-C comes from.
_LEAD = "import os, runpy, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
_AGENT = _LEAD + "sys.argv[0] = 'rollcall'; runpy.run_module('agent', run_name='__main__')"
_ANOTHER = _LEAD + "os.execvp(sys.argv[1], sys.argv[1:])"
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class TerminalSession:
    """Use as a context manager. `said` is everything that was shown so far.

    arguments:  the agent's; with `another`, a whole command
    """

    def __init__(self, *arguments: str, another: bool = False, **environment: str) -> None:
        self._command = [sys.executable, "-c", _ANOTHER if another else _AGENT, *arguments]
        self._environment = os.environ | {"TERM": "dumb", "COLUMNS": "200"} | environment
        self._shown = b""
        self._seen = 0

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (50, 200))
        self._process = subprocess.Popen(
            self._command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=self._environment,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        os.close(slave)
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    @property
    def said(self) -> str:
        return _COLOURS.sub("", self._shown.decode("utf-8", "replace")).replace("\r", "")

    def expect(self, words: str, seconds: float = 60) -> str:
        """Wait until it has said these words after what was expected last; return what it said up to them."""
        deadline = time.monotonic() + seconds
        while (found := self.said.find(words, self._seen)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"it did not say {words!r}, but:\n{self.said[self._seen :]}"
            if not self._more(left):
                raise AssertionError(f"it ended without saying {words!r}:\n{self.said[self._seen :]}")
        before = self.said[self._seen : found]
        self._seen = found + len(words)
        return before

    def answer(self, question: str, line: str) -> str:
        """Wait for a question, and type a line; return what was said before the question."""
        before = self.expect(question)
        self.type(f"{line}\n")
        return before

    def type(self, keys: str) -> None:
        time.sleep(0.05)  # after the question the echo is switched off for a secret; a person is not faster
        os.write(self._master, keys.encode())

    def end(self, seconds: float = 60) -> int:
        """Wait for its end; return the exit code."""
        deadline = time.monotonic() + seconds
        while self._more(deadline - time.monotonic()):
            assert time.monotonic() < deadline, self.said
        return self._process.wait(10)

    def _more(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return True
        try:
            some = os.read(self._master, 65536)
        except OSError:  # nobody has the terminal open any more
            return False
        self._shown += some
        return bool(some)
