"""Groups upstream: create, rename, adopt. Their members are in members.py."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from agent.plan.operations import CreateGroup, DeleteGroup, UpdateGroup
from agent.upstream.adoption import verify_match, verify_new
from agent.upstream.client import OutcomeUnknown, ScimClient
from agent.upstream.ledger import Ledger
from agent.upstream.ledger_rows import Origin
from agent.upstream.lookup import (
    GROUPS,
    Found,
    by_external_id,
    group_by_name,
    make_sure_of_the_time,
    make_sure_of_the_token,
)
from agent.upstream.refusal import Refused
from agent.upstream.users import PATCH_SCHEMA

_LOOKS = 3


def create_group(client: ScimClient, ledger: Ledger, operation: CreateGroup) -> str:
    """Create a group without members, or take over the one that is there. Returns what was done. Raises Refused.

    It always looks first: nearly every service accepts a second group of the same name without a word.
    """
    name, external_id = str(operation.payload["displayName"]), str(operation.payload["externalId"])
    lost: OutcomeUnknown | None = None
    sent_before = ledger.creates.was_begun(operation.subject)
    for _ in range(_LOOKS):
        found = by_external_id(client, GROUPS, external_id) or group_by_name(client, name)
        if found is not None:
            return _take_over(client, ledger, operation, found, sent_before=sent_before or lost is not None)
        ledger.creates.begins(operation.subject, name)
        try:
            answer = client.request("POST", GROUPS, operation.payload, may_be_forbidden=True)
        except OutcomeUnknown as unknown:
            lost = unknown
            continue
        if not answer.ok:
            ledger.creates.forget(operation.subject)
            make_sure_of_the_token(client, answer)
            raise Refused(answer.words)
        scim_id = answer.body.get("id")
        if isinstance(scim_id, str) and scim_id:
            verify_new(client.service, ledger, operation.subject, scim_id)
            _acknowledge(ledger, operation, scim_id, Origin.CREATED)
            return "created"
    reason = f"its outcome stayed unknown: {lost}" if lost else "the upstream gave no id and shows no such group"
    raise Refused(f"creating it was tried {_LOOKS} times and {reason}", temporary=True)


def update_group(client: ScimClient, ledger: Ledger, operation: UpdateGroup) -> str:
    """Rename a group. Raises Refused."""
    name = str(operation.payload["displayName"])
    if not client.service.profile.renames_groups:
        raise Refused(
            "the upstream does not rename groups. It keeps its old name there, and its members are kept up; give it "
            "that name back in the directory, or remove the group upstream, and the next cycle makes it anew",
            final=True,
        )
    body = {
        "schemas": [PATCH_SCHEMA],
        "Operations": [{"op": "replace", "path": "displayName", "value": name}],
    }
    ledger.groups.change_begins(operation.subject)
    answer = client.request("PATCH", group_address(operation.scim_id), body, may_be_forbidden=True)
    make_sure_of_the_token(client, answer)
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.groups.lost(operation.subject)
        raise Refused("it was deleted upstream by somebody else; the next cycle creates it again")
    if not answer.ok:
        raise Refused(answer.words, temporary=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    ledger.groups.updated(operation, display_name=name, digest=operation.digest)
    return "renamed"


def delete_group(client: ScimClient, ledger: Ledger, operation: DeleteGroup) -> str:
    """Delete a group that has nobody of ours any more, unless somebody else has put people in. Raises Refused."""
    there = client.request("GET", group_address(operation.scim_id), may_be_forbidden=True)
    make_sure_of_the_token(client, there)
    if there.ok and there.body.get("members"):
        raise Refused(
            "it has members that Rollcall does not know, so it is not deleted. Delete it upstream by hand, or take "
            "them out there",
            final=True,
        )
    answer = there
    if there.status != HTTPStatus.NOT_FOUND:
        make_sure_of_the_time(there)
        answer = client.request("DELETE", group_address(operation.scim_id), may_be_forbidden=True)
        make_sure_of_the_token(client, answer)
    if not answer.ok and answer.status != HTTPStatus.NOT_FOUND:
        raise Refused(answer.words, temporary=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR)
    ledger.groups.deleted(operation.subject)
    return "deleted" if answer.ok else "was already deleted upstream"


def group_address(scim_id: str) -> str:
    """Return the path of one group."""
    return f"{GROUPS}/{quote(scim_id, safe='')}"


def _take_over(client: ScimClient, ledger: Ledger, operation: CreateGroup, found: Found, *, sent_before: bool) -> str:
    external_id, name = str(operation.payload["externalId"]), str(operation.payload["displayName"])
    ours = verify_match(client.service, ledger, operation.subject, external_id, found)
    changes: list[dict[str, object]] = []
    if found.external_id != external_id:
        changes.append({"op": "replace", "path": "externalId", "value": external_id})
    other_name = found.resource.get("displayName") != name
    if other_name and client.service.profile.renames_groups:
        changes.append({"op": "replace", "path": "displayName", "value": name})
    if changes:
        body = {"schemas": [PATCH_SCHEMA], "Operations": changes}
        answer = client.request("PATCH", group_address(found.scim_id), body, may_be_forbidden=True)
        make_sure_of_the_token(client, answer)
        if not answer.ok:
            raise Refused(f"taking over the group {found.scim_id} was refused: {answer.words}")
    # Adopted or found again, what it holds is not known: its members are read before any of them is changed.
    _acknowledge(ledger, operation, found.scim_id, Origin.CREATED if ours and sent_before else Origin.ADOPTED)
    if other_name and not client.service.profile.renames_groups:
        ledger.groups.change_begins(operation.subject)  # that it has another name is told as a rename that is refused
    ledger.groups.members_begin(operation.subject)
    return "found again" if ours else "adopted"


def _acknowledge(ledger: Ledger, operation: CreateGroup, scim_id: str, origin: Origin) -> None:
    ledger.groups.acknowledged(
        operation.subject,
        scim_id=scim_id,
        display_name=str(operation.payload["displayName"]),
        digest=operation.digest,
        origin=origin,
    )
