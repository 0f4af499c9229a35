"""What the `ldap` connector remembers between two reads, and everything that makes it valid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from connectors.base import Checkpoint

FORMAT = 2  # of the token, and of what is made of an entry: a newer connector reads in full once


@dataclass(frozen=True, slots=True)
class LdapCheckpoint:
    """How far a directory has been read.

    strategy:    the name of the change detection that made it
    directory:   which directory it was: the identities of the base entries
    containers:  a digest of the names of the containers, see connectors/ldap/containers.py
    position:    the strategy's own: cookies, or a time

    Base, filter and attributes are not in it: the agent keeps the connector's fingerprint with every checkpoint and
    gives it back only for the same one.
    """

    strategy: str
    directory: str
    containers: str
    position: Mapping[str, str]

    def seal(self) -> Checkpoint:
        """Return it as the agent keeps it."""
        return Checkpoint(json.dumps({"format": FORMAT, **asdict(self)}))


def unseal(checkpoint: Checkpoint | None) -> LdapCheckpoint | None:
    """Read a checkpoint back; None for one that this connector did not make, or made in another format."""
    if checkpoint is None:
        return None
    try:
        content = json.loads(checkpoint.token)
        if content.pop("format") != FORMAT:
            return None
        return LdapCheckpoint(**content)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
