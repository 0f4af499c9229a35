"""What a search finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """One entry: attribute types in lower case, options kept, values as sent.

    cut: why an attribute that came in ranges is not whole; empty when all are
    """

    dn: str
    attributes: Mapping[str, Sequence[bytes]]
    cut: str = ""


@dataclass(frozen=True, slots=True)
class ContinuationReference:
    """Part of the tree is held by another server, and was not searched (RFC 4511, 4.5.3)."""

    urls: tuple[str, ...]
