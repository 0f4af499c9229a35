"""Looking whether accounts are still linked to what they stand for, where a vendor shows that.

Such a service gives every account a number of its own in an extension. When the number vanishes, the account is most
likely unlinked: it is still a member of its groups, and that gives the person nothing. Nothing but a listing shows it.
"""

from __future__ import annotations

import structlog

from agent.upstream.accounts import account_number
from agent.upstream.client import ScimClient
from agent.upstream.ledger import Ledger
from agent.upstream.lookup import USERS

_PAGE = 100
_PAGES = 100_000

log = structlog.get_logger()


def look_at_links(client: ScimClient, ledger: Ledger) -> None:
    """Page through the users upstream and note whose number is there. Accounts that are not listed prove nothing."""
    seen: set[str] = set()
    for _ in range(_PAGES):
        answer = client.request("GET", USERS, params={"startIndex": str(len(seen) + 1), "count": str(_PAGE)})
        if not answer.ok:
            reason = f"the users upstream cannot be listed: {answer.words}"
            log.warning("not known which accounts are linked", reason=reason, status=answer.status)
            return
        resources = answer.body.get("Resources")
        numbers = {
            str(resource["id"]): account_number(client.service.profile, resource)
            for resource in (resources if isinstance(resources, list) else [])
            if isinstance(resource, dict) and resource.get("id") and str(resource["id"]) not in seen
        }
        if not numbers:
            return
        ledger.account_numbers_seen(numbers)
        seen.update(numbers)
