"""When the upstream's token expires, where the token itself tells: many are JSON Web Tokens (RFC 7519)."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime

_PARTS = 3  # header, claims, signature


def expiry_of(token: str) -> datetime | None:
    """Return when a token expires; None where it does not tell. It is not verified: that is the upstream's business."""
    parts = token.split(".")
    if len(parts) != _PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (binascii.Error, ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError):
        return None  # three words with points between them, or a token of another kind
