"""What an upstream does not let us change of an external user."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Locks:
    """The locks of one connection; managed users are never locked.

    profile:   neither attributes nor the state of the account: only memberships
    address:   the e-mail address, because another address is another person there
    replaced:  whoever has another address gets another account; else the account is kept as it is
    """

    profile: bool = False
    address: bool = False
    replaced: bool = False


UNLOCKED = Locks()
