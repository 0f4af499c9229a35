"""Free ports on loopback, and which run of the tests this is, and which of its workers."""

from __future__ import annotations

import itertools
import os
import socket

# Below the ports that Linux gives to outgoing connections (ip_local_port_range begins at 32768): between our look and
# the server's start nobody else is given the port. Every worker of a parallel run counts in a range of its own.
_FIRST, _EACH, _RANGES = 12_000, 1_000, 20
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# The process that everything began with. Two runs at once on one machine should not meet, either.
RUN = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
_start = _FIRST + (RUN + WORKER) % _RANGES * _EACH
_candidates = itertools.cycle(range(_start, _start + _EACH))


def free_port() -> int:
    for port in _candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the candidates never end")
