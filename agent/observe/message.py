"""What is sent to somebody, and the ways there: what a way has to do."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

TIMEOUT = 5.0  # seconds, of each step: a cycle waits for it


class Event(StrEnum):
    """What a message is about: trouble that begins, that has changed, or that is over; or nothing at all."""

    BEGINS = "begins"
    CHANGED = "changed"
    OVER = "over"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    since:   when the trouble began
    agent:   the machine that sends this
    """

    event: Event
    cause: str
    headline: str
    details: tuple[str, ...] = ()
    since: datetime | None = None
    digest: str = ""
    upstream: str = ""
    agent: str = field(default_factory=socket.gethostname)

    @property
    def text(self) -> str:
        """All of it, for people."""
        beginning = "Over: " if self.event is Event.OVER else ""
        return "\n".join([f"Rollcall on {self.agent}: {beginning}{self.headline}", *self.details])


class NotDelivered(Exception):
    """A message did not arrive. The text says why, and tells no secret."""


class Channel(Protocol):
    """A way to somebody."""

    @property
    def name(self) -> str:
        """What the state remembers it by, and people read."""

    def send(self, message: Message) -> None:
        """Send a message. Raises NotDelivered."""


def verification(ca_file: str | None) -> ssl.SSLContext:
    """Load the authorities that certificates are verified against. Raises NotDelivered."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise NotDelivered("the file [notice] ca_file holds no certificates in PEM form") from error


def told(error: Exception) -> str:
    """Say what was wrong with a connection. Its own words may hold the address, which may be a secret."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate cannot be verified; if it has an authority of its own, name that in [notice] ca_file"
    if isinstance(error, TimeoutError):
        return "no answer within the time limit"
    if isinstance(error, ssl.SSLError):
        return "it does not speak TLS there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"what answers there is something else ({type(error).__name__})"
