"""The small web server: whoever is slow, or asks for too much, holds up nobody."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import pytest

from agent.observe import endpoint
from agent.observe.endpoint import Answer, Endpoint
from tests.acceptance.test_daemon import wait_for
from tests.servers.ports import free_port


def answer(path: str, as_json: bool) -> Answer | None:
    if path == "/slow":
        time.sleep(3)
    body = b'{"well": true}' if as_json else b"well\n"
    return None if path == "/nothing" else Answer(HTTPStatus.OK, "text/plain", body)


@pytest.fixture(params=["127.0.0.1", "::1"])
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    listening = request.param, free_port()
    served = Endpoint(listening, answer).start()
    yield listening
    served.close()


def ask(address: tuple[str, int], path: str = "/healthz", method: str = "GET", **headers: str) -> httpx.Response:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}{path}"
    return httpx.request(method, url, headers=headers, trust_env=False, timeout=2)


def test_get_and_head_are_answered_and_nothing_else(address: tuple[str, int]) -> None:
    assert ask(address, "/healthz?of=whom").text == "well\n"
    assert ask(address, Accept="application/json").json() == {"well": True}
    head = ask(address, method="HEAD")
    assert (head.status_code, head.text, head.headers["Content-Length"]) == (200, "", "5")
    assert ask(address, "/nothing").status_code == 404
    refused = [ask(address, method=method).status_code for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH")]
    assert refused == [501] * 5
    assert ask(address).headers["Server"].strip() == "Rollcall"


def test_whoever_is_slow_holds_up_nobody_and_is_hung_up_on(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_LONGEST", 0.5)
    with socket.create_connection(address, timeout=5) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        assert ask(address).text == "well\n"
        begun = time.monotonic()
        ended = slow.recv(100)
        lasted = time.monotonic() - begun

    assert ended == b""
    assert lasted < 3


def test_a_drop_at_a_time_is_too_slow_as_well(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_LONGEST", 0.5)
    with socket.create_connection(address, timeout=5) as slow:
        sent = _sent_until_hung_up(slow, b"G", pause=0.05, most=60)

    assert 0 < sent < 60


def test_too_many_at_once_are_hung_up_on_and_the_next_ones_are_answered(address: tuple[str, int]) -> None:
    waiting = [socket.create_connection(address, timeout=2) for _ in range(12)]
    for one in waiting:
        one.setblocking(False)
    wait_for(lambda: sum(_has_ended(one) for one in waiting) == 4)
    for one in waiting:
        one.close()

    wait_for(lambda: _is_answered(address))


def test_a_head_that_is_too_long_is_not_read_to_its_end(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=2) as long:
        sent = _sent_until_hung_up(long, b"X-Filler: " + b"x" * 1000 + b"\r\n", pause=0, most=10_000)

    assert sent < 10_000
    assert ask(address).text == "well\n"


def test_who_is_being_answered_does_not_delay_the_end(address: tuple[str, int]) -> None:
    served = Endpoint((address[0], free_port()), answer).start()
    with socket.create_connection(served._server.server_address[:2], timeout=2) as slow:
        slow.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        time.sleep(0.2)
        begun = time.monotonic()
        served.close()

    assert time.monotonic() - begun < 2


def test_a_port_that_somebody_listens_at_is_not_shared(address: tuple[str, int]) -> None:
    with pytest.raises(OSError, match=r"in use|WinError 10048"):
        Endpoint(address, answer)


def _is_answered(address: tuple[str, int]) -> bool:
    try:
        return ask(address).text == "well\n"
    except httpx.TransportError:
        return False


def _sent_until_hung_up(connection: socket.socket, what: bytes, *, pause: float, most: int) -> int:
    for number in range(most):
        try:
            connection.sendall(what)
        except OSError:
            return number
        time.sleep(pause)
    return most


def _has_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
