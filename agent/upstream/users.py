"""Users upstream: create, update, deactivate, adopt."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from agent.plan.operations import CreateUser, DeactivateUser, UpdateUser
from agent.upstream.adoption import verify_match, verify_new
from agent.upstream.client import Answer, OutcomeUnknown, ScimClient
from agent.upstream.ledger import Ledger, Origin
from agent.upstream.lookup import USERS, Found, by_external_id, user_by_name
from agent.upstream.refusal import Refused

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_LOOKS = 3


def create_user(client: ScimClient, ledger: Ledger, operation: CreateUser) -> str:
    """Create a user, or take over the one that is already there. Returns what was done. Raises Refused."""
    user_name = str(operation.payload["userName"])
    external_id = str(operation.payload["externalId"])
    look_first = operation.attempted
    for _ in range(_LOOKS):
        if look_first and (found := _find(client, user_name, external_id)):
            return _take_over(client, ledger, operation, found)
        ledger.create_begins(operation.subject)
        try:
            answer = client.request("POST", USERS, operation.payload)
        except OutcomeUnknown as unknown:
            look_first, lost = True, unknown
            continue
        return _created(client, ledger, operation, answer)
    raise Refused(f"creating it was tried {_LOOKS} times and its outcome stayed unknown: {lost}", temporary=True)


def update_user(client: ScimClient, ledger: Ledger, operation: UpdateUser) -> str:
    """Replace what the upstream holds (PUT carries every attribute). Raises Refused."""
    body = {**operation.payload, "id": operation.scim_id}
    ledger.user_change_begins(operation.subject)
    answer = client.request("PUT", _address(operation.scim_id), body)
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.user_lost(operation.subject)
        raise Refused("it was deleted upstream by somebody else; the next cycle creates it again")
    _expect_success(answer)
    ledger.user_updated(
        operation.subject,
        user_name=str(operation.payload["userName"]),
        digest=operation.digest,
        active=bool(operation.payload["active"]),
    )
    return "updated"


def deactivate_user(client: ScimClient, ledger: Ledger, operation: DeactivateUser) -> str:
    """Set active to false. Somebody who is not there any more is as good as deactivated. Raises Refused."""
    body = {
        "schemas": [PATCH_SCHEMA],
        "Operations": [{"op": "replace", "path": "active", "value": False}],
    }
    ledger.user_change_begins(operation.subject)
    answer = client.request("PATCH", _address(operation.scim_id), body)
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.user_lost(operation.subject)
        return "was already deleted upstream"
    _expect_success(answer)
    ledger.user_deactivated(operation.subject)
    return "deactivated"


def _created(client: ScimClient, ledger: Ledger, operation: CreateUser, answer: Answer) -> str:
    user_name = str(operation.payload["userName"])
    if answer.ok:
        scim_id = answer.body.get("id")
        if not isinstance(scim_id, str) or not scim_id:
            found = _find(client, user_name, str(operation.payload["externalId"]))
            if found is None:
                raise Refused(
                    "the upstream says that it created the user, and gives no id and shows none", temporary=True
                )
            scim_id = found.scim_id
        verify_new(client.service, ledger, operation.subject, scim_id)
        _acknowledge(ledger, operation, scim_id, Origin.CREATED)
        return "created"
    if answer.status == HTTPStatus.CONFLICT:
        found = _find(client, user_name, str(operation.payload["externalId"]))
        if found is None:
            ledger.create_refused(operation.subject)
            raise Refused(
                f"the upstream says that it exists ({answer.words}), and shows no user with this userName or "
                "externalId. Perhaps its address belongs to another account there; correct that account, then sync."
            )
        return _take_over(client, ledger, operation, found)
    ledger.create_refused(operation.subject)
    raise Refused(answer.words)


def _find(client: ScimClient, user_name: str, external_id: str) -> Found | None:
    return by_external_id(client, USERS, external_id) or user_by_name(client, user_name)


def _take_over(client: ScimClient, ledger: Ledger, operation: CreateUser, found: Found) -> str:
    """Adopt a verified match and make it equal to what is wanted."""
    ours = verify_match(client.service, ledger, operation.subject, str(operation.payload["externalId"]), found)
    answer = client.request("PUT", _address(found.scim_id), {**operation.payload, "id": found.scim_id})
    _expect_success(answer)
    _acknowledge(ledger, operation, found.scim_id, Origin.CREATED if ours else Origin.ADOPTED)
    return "found again" if ours else "adopted"


def _acknowledge(ledger: Ledger, operation: CreateUser, scim_id: str, origin: Origin) -> None:
    ledger.user_acknowledged(
        operation.subject,
        scim_id=scim_id,
        user_name=str(operation.payload["userName"]),
        digest=operation.digest,
        active=bool(operation.payload["active"]),
        origin=origin,
    )


def _expect_success(answer: Answer) -> None:
    if not answer.ok:
        raise Refused(answer.words, temporary=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)


def _address(scim_id: str) -> str:
    return f"{USERS}/{quote(scim_id, safe='')}"
