"""Memberships: `add` with a value array, one `remove` with a filter per member, several to a PATCH.

These two forms are the ones that servers agree on. Because servers also accept a change and ignore it, the group
is read back afterwards; and because an answer can be lost, a group whose change was not confirmed is read first.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from agent.plan.operations import AddMembers, Member, ReadMembers, RemoveMembers
from agent.state.database import batched
from agent.upstream.client import Answer, ScimClient
from agent.upstream.groups import group_address
from agent.upstream.ledger import Ledger
from agent.upstream.refusal import Refused
from agent.upstream.users import PATCH_SCHEMA

_Change = AddMembers | RemoveMembers


class _GroupGone(Refused):
    """Somebody else deleted the group upstream."""


def change_members(client: ScimClient, ledger: Ledger, operation: _Change) -> str:
    """Add or remove the members of one group, in chunks. Returns what was done. Raises Refused.

    A member that the upstream refuses holds none of the others back; it is named in the refusal. A group that is gone
    upstream has lost its members as well.
    """
    try:
        return _change_members(client, ledger, operation)
    except _GroupGone:
        if isinstance(operation, RemoveMembers):
            return "the group was already deleted upstream"
        raise


def _change_members(client: ScimClient, ledger: Ledger, operation: _Change) -> str:
    adding = isinstance(operation, AddMembers)
    todo = list(operation.members)
    standing = ledger.group(operation.subject)
    if standing is not None and standing.in_doubt:
        there = _read(client, ledger, operation)
        ledger.members_observed(operation.subject, there)
        todo = [member for member in todo if (member.scim_id in there) != adding]
    ledger.members_begin(operation.subject)
    refused: list[tuple[Member, str]] = []
    for chunk in batched(todo, client.service.members_per_patch):
        refused += _send(client, ledger, operation, chunk)
    there = _read(client, ledger, operation)
    ledger.members_observed(operation.subject, there)
    without_effect = [m for m in todo if (m.scim_id in there) != adding and all(m is not bad for bad, _ in refused)]
    if refused:
        raise Refused(
            f"{len(refused)} of {len(operation.members)} members were refused, among them {refused[0][0].scim_id}: "
            f"{refused[0][1]}"
        )
    if without_effect:
        raise Refused(
            f"the upstream accepted the change, but {len(without_effect)} of {len(operation.members)} "
            "members are not as "
            f"asked when read back, among them {without_effect[0].scim_id}"
        )
    ledger.members_confirmed(operation)
    return f"{len(operation.members)} {'added' if adding else 'removed'}"


def read_members(client: ScimClient, ledger: Ledger, operation: ReadMembers) -> str:
    """Record whom a group has upstream. Returns what was found. Raises Refused."""
    there = _read(client, ledger, operation)
    ledger.members_observed(operation.subject, there)
    ledger.members_confirmed(operation)
    return f"{len(there)} found"


def _send(client: ScimClient, ledger: Ledger, operation: _Change, chunk: Sequence[Member]) -> list[tuple[Member, str]]:
    """Send one PATCH; when it is refused, halve it until the members that cause it are found."""
    answer = client.request("PATCH", group_address(operation.scim_id), _patch(operation, chunk))
    if answer.ok:
        if isinstance(operation, AddMembers):
            ledger.members_added(operation.subject, chunk)
        else:
            ledger.members_removed(operation.subject, chunk)
        return []
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Refused(answer.words, temporary=True)
    if len(chunk) == 1:
        return [(chunk[0], answer.words)]
    if answer.status == HTTPStatus.NOT_FOUND:
        _read(client, ledger, operation)  # tells a group that is gone from a member that is gone
    middle = len(chunk) // 2
    return [
        *_send(client, ledger, operation, chunk[:middle]),
        *_send(client, ledger, operation, chunk[middle:]),
    ]


def _patch(operation: _Change, chunk: Sequence[Member]) -> dict[str, object]:
    changes: list[dict[str, object]]
    if isinstance(operation, AddMembers):
        changes = [{"op": "add", "path": "members", "value": [{"value": member.scim_id} for member in chunk]}]
    else:
        changes = [{"op": "remove", "path": f'members[value eq "{_quoted(m.scim_id)}"]'} for m in chunk]
    return {"schemas": [PATCH_SCHEMA], "Operations": changes}


def _read(client: ScimClient, ledger: Ledger, operation: _Change | ReadMembers) -> frozenset[str]:
    answer: Answer = client.request("GET", group_address(operation.scim_id))
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.group_lost(operation.subject)
        raise _GroupGone(
            "the group was deleted upstream by somebody else; the next cycle creates it again if it is selected"
        )
    if not answer.ok:
        raise Refused(
            f"its members cannot be read back: {answer.words}",
            temporary=answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    members = answer.body.get("members")
    return frozenset(
        str(member.get("value"))
        for member in (members if isinstance(members, list) else [])
        if isinstance(member, dict)
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
