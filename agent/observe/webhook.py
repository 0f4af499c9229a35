"""Telling by webhook: one POST of a small JSON document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from agent import __version__
from agent.observe.message import TIMEOUT, Message, NotDelivered, told, verification

_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A web service that takes messages. `body`: with everything that is known, or with the text alone."""

    url: SecretStr
    body: Literal["all", "text"] = "all"
    ca_file: str | None = None
    name: str = "webhook"

    def send(self, message: Message) -> None:
        """Post a message. A redirect is not followed: it would carry the message elsewhere. Raises NotDelivered."""
        status = self._post(document_of(message) if self.body == "all" else {"text": message.text})
        if status not in _SUCCESS:
            raise NotDelivered(f"it answered {status}")

    def _post(self, document: dict[str, object]) -> int:
        parts = urlsplit(self.url.get_secret_value())
        host, path = parts.hostname or "", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection: HTTPConnection
        if parts.scheme == "https":
            connection = HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=verification(self.ca_file))
        else:
            connection = HTTPConnection(host, parts.port, timeout=TIMEOUT)
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": f"rollcall/{__version__}"}
        try:
            connection.request("POST", path, json.dumps(document).encode(), headers)
            return connection.getresponse().status
        except (OSError, HTTPException, ValueError) as error:
            raise NotDelivered(told(error)) from None
        finally:
            connection.close()


def document_of(message: Message) -> dict[str, object]:
    """Return what is posted. Chat services show `text`; the rest is for programs. README documents it."""
    return {
        "text": message.text,
        "event": str(message.event),
        "cause": message.cause,
        "headline": message.headline,
        "details": list(message.details),
        "since": message.since.isoformat() if message.since else None,
        "at": datetime.now(UTC).isoformat(),
        "digest": message.digest or None,
        "agent": message.agent,
        "upstream": message.upstream,
    }
