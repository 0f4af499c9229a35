"""Users upstream: create, update, deactivate, adopt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from agent.errors import NotScim
from agent.plan.operations import CreateUser, DeactivateUser, DeleteUser, RetireAccount, UpdateUser
from agent.upstream.accounts import account_number
from agent.upstream.adoption import verify_match, verify_new
from agent.upstream.client import Answer, OutcomeUnknown, ScimClient
from agent.upstream.ledger import Ledger
from agent.upstream.ledger_rows import UNKNOWN, Origin
from agent.upstream.lookup import (
    USERS,
    Found,
    by_external_id,
    make_sure_of_the_time,
    make_sure_of_the_token,
    primary_address,
    user_by_name,
    user_path,
)
from agent.upstream.lost_accounts import lost
from agent.upstream.profile import ExternalUsers
from agent.upstream.refusal import NameTaken, Refused

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_LOOKS = 3


def create_user(client: ScimClient, ledger: Ledger, operation: CreateUser) -> str:
    """Create a user, or take over the one that is already there. Returns what was done. Raises Refused."""
    look_first = operation.attempted
    for _ in range(_LOOKS):
        if look_first and (found := _find(client, operation)):
            return _take_over(client, ledger, operation, found, sent_before=True)
        ledger.creates.begins(operation.subject, str(operation.payload["userName"]))
        try:
            external = operation.address.external
            answer = client.request("POST", USERS, operation.payload, may_be_forbidden=external)
        except OutcomeUnknown as unknown:
            look_first, lost = True, unknown
            continue
        return _created(client, ledger, operation, answer)
    raise Refused(f"creating it was tried {_LOOKS} times and its outcome stayed unknown: {lost}", temporary=True)


def update_user(client: ScimClient, ledger: Ledger, operation: UpdateUser) -> str:
    """Replace what the upstream holds (PUT carries every attribute). Raises Refused."""
    if operation.locked:
        if operation.reactivates:
            _expect_success(_set_active(client, operation.scim_id, active=True))
        ledger.user_returned(operation.subject)
        return "back in its groups; its profile is left as it is"
    body = {**operation.payload, "id": operation.scim_id}
    ledger.user_change_begins(operation.subject)
    external = operation.address.external
    answer = client.request("PUT", user_path(operation.scim_id), body, may_be_forbidden=external)
    make_sure_of_the_token(client, answer)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise lost(client, ledger, operation.subject, external=external, verb=CreateUser.verb)
    if answer.status == HTTPStatus.CONFLICT:
        raise NameTaken(answer.words)
    _expect_success(answer)
    ledger.user_updated(
        operation.subject,
        user_name=str(operation.payload["userName"]),
        digest=operation.digest,
        active=bool(operation.payload["active"]),
        address=operation.address,
    )
    return "updated"


def deactivate_user(client: ScimClient, ledger: Ledger, operation: DeactivateUser) -> str:
    """Set active to false. Somebody who is not there any more is as good as deactivated. Raises Refused."""
    if operation.locked:
        ledger.user_let_go(operation.subject)
        return "in no group any more; the account is the person's own and left as it is"
    ledger.user_change_begins(operation.subject)
    answer = _set_active(client, operation.scim_id, active=False)
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.user_lost(operation.subject)
        return "was already deleted upstream"
    _expect_success(answer)
    ledger.user_deactivated(operation.subject, answer.date)
    return "deactivated"


def delete_user(client: ScimClient, ledger: Ledger, operation: DeleteUser) -> str:
    """Delete an account for good, unless it is in use again. One that is not there any more is as good as deleted.

    Raises Refused.
    """
    try:
        answer = client.request("GET", user_path(operation.scim_id), may_be_forbidden=True)
    except NotScim as error:  # some frameworks answer so what they do not find: no evidence either way
        raise Refused(f"whether it is in use cannot be told: {error}", temporary=True) from error
    make_sure_of_the_token(client, answer)
    if answer.ok and str(answer.body.get("active")).casefold() == "true":  # some services write it as a text
        ledger.user_in_use_again(operation.subject)
        raise Refused(
            "it is in use upstream again, though Rollcall had deactivated it, so it is not deleted. The next cycle "
            "deactivates it, and the time until it is deleted begins anew. If the person is to keep the account, put "
            "them into a selected group, or name them in [guard] protected",
            recorded=True,
        )
    if answer.ok:
        make_sure_of_the_time(answer)
        answer = client.request("DELETE", user_path(operation.scim_id), may_be_forbidden=True)
        make_sure_of_the_token(client, answer)
    if answer.status != HTTPStatus.NOT_FOUND:
        _expect_success(answer)
    ledger.user_deleted(operation.subject)
    return "deleted" if answer.ok else "was already deleted upstream"


def retire_account(client: ScimClient, ledger: Ledger, operation: RetireAccount) -> str:
    """Deactivate an account whose place another has taken, unless it is the person's own. Raises Refused."""
    if not operation.locked:
        answer = _set_active(client, operation.scim_id, active=False)
        if answer.status != HTTPStatus.NOT_FOUND:
            _expect_success(answer)
    ledger.account_retired(operation.scim_id)
    return "in no group any more" if operation.locked else "deactivated"


def _set_active(client: ScimClient, scim_id: str, *, active: bool) -> Answer:
    body = {
        "schemas": [PATCH_SCHEMA],
        "Operations": [{"op": "replace", "path": "active", "value": active}],
    }
    return client.request("PATCH", user_path(scim_id), body)


def _created(client: ScimClient, ledger: Ledger, operation: CreateUser, answer: Answer) -> str:
    if answer.ok:
        scim_id = answer.body.get("id")
        if not isinstance(scim_id, str) or not scim_id:
            found = _find(client, operation)
            if found is None:
                raise Refused(
                    "the upstream says that it created the user, and gives no id and shows none", temporary=True
                )
            scim_id = found.scim_id
        verify_new(client.service, ledger, operation.subject, scim_id)
        _acknowledge(client, ledger, operation, scim_id, Origin.CREATED, answer.body)
        return "created"
    if answer.status == HTTPStatus.CONFLICT:
        # Whatever is there, this create has not made it.
        ledger.creates.forget(operation.subject)
        found = _find(client, operation)
        if found is None:
            # Perhaps whoever had the name has given it up by now.
            raise NameTaken(
                f"the upstream says that it exists ({answer.words}), and shows no user with this userName or "
                "externalId. Perhaps its address belongs to another account there; correct that account, then sync."
            )
        return _take_over(client, ledger, operation, found)
    ledger.creates.forget(operation.subject)
    make_sure_of_the_token(client, answer)
    refuses = operation.address.external and client.service.external_users is ExternalUsers.REFUSE
    raise Refused(answer.words, final=refuses)


def _find(client: ScimClient, operation: CreateUser) -> Found | None:
    """Look for the account, by its anchor first. Where another address means another account, by its name alone."""
    user_name, external_id = str(operation.payload["userName"]), str(operation.payload["externalId"])
    by_anchor = None
    if not (operation.by_address or operation.replaces):
        by_anchor = by_external_id(client, USERS, external_id)
    if by_anchor and not operation.address.external and _is_personal(client, by_anchor):
        by_anchor = None
    return by_anchor or user_by_name(client, user_name)


def _is_personal(client: ScimClient, found: Found) -> bool:
    """Tell whether an account is the person's own, by the address it has, where services make that difference."""
    if client.service.external_users not in {ExternalUsers.LOCKED, ExternalUsers.INVITE}:
        return False
    held = primary_address(found.resource)
    return bool(held) and client.service.address_of(held).external


def _take_over(
    client: ScimClient, ledger: Ledger, operation: CreateUser, found: Found, *, sent_before: bool = False
) -> str:
    """Adopt a verified match and make it equal to what is wanted, unless its profile is locked.

    Where another address means another account, the address is none of ours to change: an account that has another one
    than the directory says is only taken into use, and is on record with the address it has.
    """
    if found.scim_id == operation.replaces:
        raise Refused(
            f"its account {found.scim_id} has the address {primary_address(found.resource)}, and a new one cannot have "
            "the same userName. Make the userName of the address in [mapping] user_name, or change one of the two"
        )
    if not operation.address.external and _is_personal(client, found):
        raise Refused(
            f"the account {found.scim_id} has this userName and the address {primary_address(found.resource)}, which "
            "is the person's own. Give one of them another userName"
        )
    ours = verify_match(client.service, ledger, operation.subject, str(operation.payload["externalId"]), found)
    held = primary_address(found.resource)
    moved = operation.by_address and bool(held) and held.casefold() != operation.address.email.casefold()
    if not (operation.locked or moved):
        body = {**operation.payload, "id": found.scim_id}
        external = operation.address.external
        answer = client.request("PUT", user_path(found.scim_id), body, may_be_forbidden=external)
        make_sure_of_the_token(client, answer)
        _expect_success(answer)
    elif not operation.locked and found.resource.get("active") is not True:
        _expect_success(_set_active(client, found.scim_id, active=True))
    if moved:
        operation = replace(operation, address=client.service.address_of(held), digest=UNKNOWN)
    # Our externalId is there also where we took it over once, and do not know that any more.
    origin = Origin.CREATED if ours and sent_before else Origin.ADOPTED
    _acknowledge(client, ledger, operation, found.scim_id, origin, found.resource)
    return "found again" if ours else "adopted"


def _acknowledge(
    client: ScimClient,
    ledger: Ledger,
    operation: CreateUser,
    scim_id: str,
    origin: Origin,
    resource: Mapping[str, object],
) -> None:
    ledger.user_acknowledged(
        operation.subject,
        scim_id=scim_id,
        user_name=str(operation.payload["userName"]),
        digest=operation.digest,
        active=bool(operation.payload["active"]),
        origin=origin,
        address=operation.address,
        account_number=account_number(client.service.profile, resource),
    )


def _expect_success(answer: Answer) -> None:
    if not answer.ok:
        raise Refused(answer.words, temporary=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
