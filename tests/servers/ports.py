"""Free ports on loopback."""

from __future__ import annotations

import itertools
import os
import socket

# Below the ports that Linux gives to outgoing connections (ip_local_port_range begins at 32768): between our look and
# the server's start nobody else is given the port. Every worker of a parallel run counts in a range of its own.
_FIRST, _EACH = 12_000, 1_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_candidates = itertools.cycle(range(_FIRST + _WORKER % 20 * _EACH, _FIRST + (_WORKER % 20 + 1) * _EACH))


def free_port() -> int:
    for port in _candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: the candidates never end")
