"""A service whose name has several addresses, none of which answers: no silence that looks like an agent that hangs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from agent.errors import UpstreamUnreachable
from agent.upstream.brake import Brake
from agent.upstream.client import ScimClient
from agent.upstream.service import Service

ADDRESSES = 8


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Give a port at which connections are neither accepted nor refused."""
    with contextlib.ExitStack() as held, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(server.getsockname())
        yield server.getsockname()[1]


def test_however_long_an_answer_may_take_the_addresses_of_a_service_are_gone_through_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.upstream.client._LONGEST_TO_CONNECT", 0.2)
    signs: list[float] = []
    brake = Brake(threading.Event(), alive=lambda: signs.append(time.monotonic()))
    service = Service(url="https://scim.example/scim/v2", token=SecretStr("secret"), timeout_seconds=90.0, attempts=2)
    with contextlib.ExitStack() as holes:
        ports = [holes.enter_context(black_hole()) for _ in range(ADDRESSES)]

        def resolve(host: str, *_options: Any, **_more: Any) -> list[Any]:
            assert host == "scim.example"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        began = time.monotonic()
        with ScimClient(service, brake) as client, pytest.raises(UpstreamUnreachable, match="within the time limit"):
            client.request("GET", "/Users")

    pauses = [after - before for before, after in zip([began, *signs], [*signs, time.monotonic()], strict=True)]
    assert max(pauses) < 2 * 0.2 * ADDRESSES
