"""What systemd is told through its notification socket: sd_notify(3), in a few lines of text over a datagram.

The unit is Type=notify. The socket's name is in NOTIFY_SOCKET; one that begins with "@" is in the abstract namespace.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

from agent.operating_system import on_reload_signal, on_stop_signal
from agent.service.supervisor import Supervisor, Unsupervised

_FEEDS = 4  # so many times within the watchdog's patience


class Systemd:
    """Tells systemd. A datagram that cannot be sent is lost: systemd then does what it does with a silent service.

    address:   the socket's
    watchdog:  after how many seconds without a sign of life systemd restarts the service; None: never
    """

    def __init__(self, address: str, watchdog: float | None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._fed_at = float("-inf")

    def obey(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """See Supervisor. systemd asks with signals; this is called in the main thread, which alone may handle them."""
        on_stop_signal(stop)
        on_reload_signal(reload)

    def ready(self, status: str) -> None:
        """See Supervisor."""
        self._send("READY=1", f"STATUS={_line(status)}")
        self._feed()

    def reloading(self) -> None:
        """See Supervisor. The time tells systemd which of several reloads is meant."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """See Supervisor. It may be called as often as one likes."""
        if self._watchdog is not None and time.monotonic() - self._fed_at >= self._watchdog / _FEEDS:
            self._feed()

    def status(self, text: str) -> None:
        """See Supervisor. It is shown by `systemctl status`."""
        self._send(f"STATUS={_line(text)}")

    def stopping(self) -> None:
        """See Supervisor."""
        self._send("STOPPING=1", "STATUS=stopping after the requests in flight")

    def _feed(self) -> None:
        self._fed_at = time.monotonic()
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix:
            unix.sendto("\n".join(lines).encode(), self._address)


def systemd_of(environment: Mapping[str, str]) -> Supervisor:
    """Return the systemd that has started this process, if one has."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Unsupervised()
    microseconds, of = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    meant = microseconds.isdigit() and of in {"", str(os.getpid())}
    return Systemd(address, int(microseconds) / 1_000_000 if meant else None)


def _line(text: str) -> str:
    return " ".join(text.split())
