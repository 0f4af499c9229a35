"""What became of a create whose answer was lost, when the person or the group is not wanted any more.

Whoever is still wanted is looked for before the create is repeated. Nobody repeats this one; so it is looked for here,
and what stands upstream comes into the ledger, where the next plan finds that nobody wants it.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from agent.plan.operations import CreateGroup, CreateUser
from agent.upstream.accounts import account_number
from agent.upstream.client import ScimClient
from agent.upstream.create_attempts import LeftBehind
from agent.upstream.ledger import Ledger
from agent.upstream.ledger_rows import UNKNOWN, Origin
from agent.upstream.lookup import GROUPS, USERS, Found, by_external_id, group_by_name, primary_address, user_by_name
from agent.upstream.profile import ExternalUsers
from agent.upstream.refusal import Refused

log = structlog.get_logger()


def look_for_what_was_left_behind(client: ScimClient, ledger: Ledger) -> Iterator[tuple[str, LeftBehind, Refused]]:
    """Look for what such creates may have made. Yields what cannot be found out, with the operation's name."""
    for create in ledger.creates.left_behind():
        try:
            _look_for(client, ledger, create)
        except Refused as refused:
            yield (CreateUser if create.is_user else CreateGroup).verb, create, refused


def _look_for(client: ScimClient, ledger: Ledger, create: LeftBehind) -> None:
    nameless = None
    try:
        for found in _candidates(client, create):
            if ledger.owner_of(found.scim_id) is not None:
                continue
            if found.external_id == create.anchor:
                _take_note(client, ledger, create, found)
                return
            if found.external_id is None:
                nameless = found
    except Refused as refused:
        raise Refused(
            f"its answer was lost, and it is not to be created any more; whether it stands upstream is not known: "
            f"{refused}. The next cycle looks again"
        ) from refused
    ledger.creates.forget(create.subject)
    if nameless is not None:
        raise Refused(
            f"its answer was lost, and it is not to be created any more. {nameless.scim_id} stands upstream under this "
            "name and without an externalId; it may have been there before, so it is left as it is. If it is not to be "
            "used, take it out of use there"
        )


def _candidates(client: ScimClient, create: LeftBehind) -> Iterator[Found]:
    """Find what may be it. Names of users are unique, names of groups hardly anywhere."""
    found = []
    if create.is_user:
        # By the anchor there may be two: where another address is another account, one takes the place of the other.
        found.append(user_by_name(client, create.name) if create.name else None)
        if not any(item is not None and item.external_id == create.anchor for item in found):
            found.append(by_external_id(client, USERS, create.anchor))
    else:
        found.append(by_external_id(client, GROUPS, create.anchor))
        if found == [None] and create.name:
            found.append(group_by_name(client, create.name))
    return (item for item in found if item is not None)


def _take_note(client: ScimClient, ledger: Ledger, create: LeftBehind, found: Found) -> None:
    """Enter it into the ledger. Of its state nothing is known but what is shown, so that it differs from any other."""
    service = client.service
    log.warning("a create whose answer was lost was carried out", label=create.subject.label, scim_id=found.scim_id)
    ledger.creates.plan_again(create.subject)
    if create.is_user:
        ledger.user_acknowledged(
            create.subject,
            scim_id=found.scim_id,
            user_name=str(found.resource.get("userName") or create.name),
            digest=UNKNOWN,
            # An invitation that nobody has taken up shows itself as out of use, and can be taken up at any time.
            active=found.resource.get("active") is not False or service.external_users is ExternalUsers.INVITE,
            origin=Origin.CREATED,
            address=service.address_of(primary_address(found.resource)),
            account_number=account_number(service.profile, found.resource),
        )
        return
    ledger.groups.acknowledged(
        create.subject,
        scim_id=found.scim_id,
        display_name=str(found.resource.get("displayName") or create.name),
        digest=UNKNOWN,
        origin=Origin.CREATED,
    )
