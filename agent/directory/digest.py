"""The digest of an entry, by which a read finds out that nothing of it has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from connectors.base import Entry, Name


def digest_of(item: Entry) -> str:
    """Return what changes exactly when anything the agent uses of an entry changes."""
    members = None if item.members is None else [item.members.complete, _sorted(item.members.names)]
    content = (
        item.kind.value,
        item.dn,
        item.active,
        _sorted(item.names),
        sorted((key, values) for key, values in item.attributes.items()),
        members,
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _sorted(names: Iterable[Name]) -> list[tuple[str, str]]:
    return sorted((name.kind.value, name.value) for name in names)
