"""When a token expires, where it tells."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from agent.upstream.token import expiry_of


def token(claims: bytes) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"


def test_a_json_web_token_tells_when_it_expires() -> None:
    assert expiry_of(token(b'{"sub": "x", "exp": 1800000000}')) == datetime(2027, 1, 15, 8, tzinfo=UTC)
    assert expiry_of(token(b'{"exp": 1800000000.5}')) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque-token",
        "a.b.c",
        "..",
        "a.\N{SNOWMAN}.c",
        token(b"{}"),
        token(b"[1]"),
        token(b"null"),
        token(b'"exp"'),
        token(b'{"exp": "soon"}'),
        token(b'{"exp": null}'),
        token(b'{"exp": NaN}'),
        token(b'{"exp": 1e400}'),
        token(b'{"exp": 99999999999999999999}'),
        token(b"[" * 100_000),
        token(b'{"exp": ' + b"9" * 10_000 + b"}"),
        token(b"\xff\xfe"),
    ],
)
def test_every_other_token_tells_nothing(text: str) -> None:
    assert expiry_of(text) is None
