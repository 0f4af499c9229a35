"""Names that pass from one person to another in one cycle, which no service takes in any order.

Ben gets the address that Anna has had, and Anna another: Ben's turn is after hers. If Anna gets Ben's, no order helps:
one of them has to step aside, under a name that nobody has, until the other is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.plan.operations import CreateUser, UpdateUser
from agent.upstream.client import ScimClient
from agent.upstream.ledger import Ledger
from agent.upstream.ledger_rows import UNKNOWN
from agent.upstream.refusal import Refused
from agent.upstream.users import update_user

Waiting = CreateUser | UpdateUser


def settle_taken_names(
    client: ScimClient, ledger: Ledger, waiting: Sequence[Waiting], still_taken: Callable[[Waiting], bool]
) -> Sequence[Waiting]:
    """Carry out what was refused because somebody else has the name, as often as that helps.

    still_taken:  tries an operation, and returns whether its name is taken even now

    Returns what cannot be helped.
    """
    aside: set[int] = set()
    while waiting:
        left = [operation for operation in waiting if still_taken(operation)]
        if len(left) == len(waiting):
            holder = _in_the_way(ledger, left, aside)
            if holder is None:
                return left
            aside.add(holder.subject.entry_id)
            try:
                update_user(client, ledger, _under_another_name(holder))
            except Refused:
                return left
        waiting = left
    return ()


def _in_the_way(ledger: Ledger, waiting: Sequence[Waiting], aside: set[int]) -> UpdateUser | None:
    """Return somebody whose present name another one waits for, and who waits as well."""
    wanted = {str(operation.payload["userName"]).casefold() for operation in waiting}
    for operation in waiting:
        if isinstance(operation, UpdateUser) and operation.subject.entry_id not in aside:
            held = ledger.user_name_of(operation.subject)
            if held is not None and held.casefold() in wanted:
                return operation
    return None


def _under_another_name(operation: UpdateUser) -> UpdateUser:
    """Make the update give a name that nobody has. Its digest says that it is not what is wanted."""
    number = hashlib.sha256(str(operation.payload["externalId"]).encode()).hexdigest()[:8]
    local, at, domain = str(operation.payload["userName"]).rpartition("@")
    name = f"{local}+rollcall-{number}{at}{domain}"
    payload = {**operation.payload, "userName": name}
    if at and "emails" in payload:
        payload["emails"] = [{"value": name, "type": "work", "primary": True}]
    address = replace(operation.address, email=name) if at else operation.address
    return replace(operation, payload=payload, digest=UNKNOWN, address=address)
