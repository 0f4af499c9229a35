"""The refusal of one object, which never stops the others (invariant 12)."""

from __future__ import annotations


class Refused(Exception):
    """The upstream, or a rule of ours, refuses one object. The text is the reason, for the administrator.

    temporary:  the service was in trouble, which counts towards pausing the whole push
    final:      the same would be refused again: it is tried again rarely
    recorded:   the ledger says already what is to follow
    """

    def __init__(self, reason: str, *, temporary: bool = False, final: bool = False, recorded: bool = False) -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.final = final
        self.recorded = recorded


class NameTaken(Refused):
    """Somebody else has the name, who perhaps gives it up in the same cycle."""
