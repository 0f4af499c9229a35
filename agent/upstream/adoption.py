"""Whether an object found upstream may be taken under the agent's care (invariants 6 and 10)."""

from __future__ import annotations

from agent.plan.operations import Subject
from agent.upstream.ledger import Ledger
from agent.upstream.lookup import Found
from agent.upstream.refusal import NameTaken, Refused
from agent.upstream.service import Service


def verify_new(service: Service, ledger: Ledger, subject: Subject, scim_id: str) -> None:
    """Make sure that the id of what the upstream says it created is nobody else's. Raises Refused.

    Some services answer a create with what they have already when they take two names for one.
    """
    owner = ledger.owner_of(scim_id)
    if owner is None or owner.entry_id == subject.entry_id:
        return
    if owner.present or not service.adopt:
        raise Refused(
            f"the upstream answered with the id {scim_id}, which belongs to another directory entry; it takes the two "
            "for one. Give them names in the directory that the upstream tells apart."
        )
    ledger.hand_over(owner, subject)


def verify_match(service: Service, ledger: Ledger, subject: Subject, external_id: str, found: Found) -> bool:
    """Return True when the match is the agent's own work (a create whose answer was lost), False when it is adopted.

    An account that was deleted in the directory and made again has a new anchor; the object of the one that is gone
    passes to it. Raises Refused when the match belongs to another entry, or when the settings forbid adoption.
    """
    owner = ledger.owner_of(found.scim_id)
    if owner is not None and owner.entry_id != subject.entry_id:
        if owner.present or not service.adopt:
            raise NameTaken(
                f"the upstream object {found.scim_id} with this name already belongs to another directory entry "
                f"({owner.dn}, source {owner.source}). Give one of the two another name in the directory. Only if that "
                "entry is not to have the account any more, delete it upstream."
            )
        ledger.hand_over(owner, subject)
        return False
    if found.external_id == external_id:
        return True
    if found.external_id is not None:
        raise Refused(
            "the upstream holds an object with this name that belongs to somebody else: "
            f"{found.scim_id} has externalId "
            f"{found.external_id}, expected {external_id} or none. If it is the same, clear its externalId upstream."
        )
    if not service.adopt:
        raise Refused(
            f"the upstream already holds it ({found.scim_id}), and [upstream] adopt is false. Set "
            "adopt = true to take it "
            "over, or remove it upstream."
        )
    return False
