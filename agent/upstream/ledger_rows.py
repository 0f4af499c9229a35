"""What a row of the ledger is made of, whatever it is about."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum

from agent.domain_names import address_key
from agent.plan.operations import Address

UNKNOWN = ""  # the digest of what is not known: it differs from every other


class Origin(StrEnum):
    """How an object upstream came under the agent's care."""

    CREATED = "created"
    ADOPTED = "adopted"


def naming(user_name: str, address: Address) -> dict[str, object]:
    """Return the columns of a user's names upstream."""
    keys = {"user_name_key": user_name.casefold(), "email_key": address_key(address.email)}
    return {"user_name": user_name, **keys, **asdict(address)}


def now(told: datetime | None = None) -> datetime:
    """Return the time that is put down: not before the one that the upstream has told.

    What is dated by a clock that is behind would be old as soon as the clock is put right.
    """
    here = datetime.now(UTC)
    return here if told is None else max(here, told)
