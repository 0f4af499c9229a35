"""What a connector for a directory remembers between two reads, and everything that makes it valid."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from connectors.base import Checkpoint

FORMAT = 4  # of the token, and of what is made of an entry: a newer connector reads in full once

_SHOWN, _TOLD = 80, 400


@dataclass(frozen=True, slots=True)
class LdapCheckpoint:
    """How far a directory has been read.

    strategy:    the name of the change detection that made it
    directory:   which directory it was: the identity of each base entry
    containers:  a digest of the names of the containers, see connectors/ldap/containers.py
    position:    the strategy's own: cookies, or a time
    standing:    how much the server knew, as its make tells: it counts whatever the strategy

    Base, filter and attributes are not in it: the agent keeps the connector's fingerprint with every checkpoint and
    gives it back only for the same one.
    """

    strategy: str
    directory: Mapping[str, str]
    containers: str
    position: Mapping[str, str]
    standing: Mapping[str, str] = field(default_factory=dict)

    def seal(self) -> Checkpoint:
        """Return it as the agent keeps it."""
        content = {"format": FORMAT, **asdict(self)}
        return Checkpoint(json.dumps({"content": content, "digest": _digest(content)}))

    @property
    def told(self) -> str:
        """Tell the position to people: cookies and lists of witnesses are long, and their beginning will do."""
        return "; ".join(f"{key} {_shortened(value)}" for key, value in self.position.items())[:_TOLD]


def unseal(checkpoint: Checkpoint | None) -> LdapCheckpoint | None:
    """Read a checkpoint back; None for one that was damaged, made by another connector, or in another format.

    Whoever takes it apart further may rely on finding what was put in: the digest is for that.
    """
    if checkpoint is None:
        return None
    try:
        sealed = json.loads(checkpoint.token)
        content = sealed["content"]
        if sealed["digest"] != _digest(content) or content.pop("format") != FORMAT:
            return None
        return LdapCheckpoint(**content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _shortened(value: str) -> str:
    readable = value.encode("utf-8", "replace").decode()  # a cookie is any octets, kept as halves of characters
    return readable if len(readable) <= _SHOWN else f"{readable[:_SHOWN]}…"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
