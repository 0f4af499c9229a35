"""Memberships: `add` with a value array, one `remove` with a filter per member, several to a PATCH.

These two forms are the ones that servers agree on. Because servers also accept a change and ignore it, the group
is read back afterwards; and because an answer can be lost, a group whose change was not confirmed is read first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from agent.plan.operations import AddMembers, Member, ReadMembers, RemoveMembers
from agent.state.database import batched
from agent.upstream.client import Answer, ScimClient
from agent.upstream.groups import group_address
from agent.upstream.ledger import Ledger
from agent.upstream.lookup import make_sure_of_the_token
from agent.upstream.lost_accounts import look_at_account
from agent.upstream.refusal import Refused
from agent.upstream.users import PATCH_SCHEMA

_LOOKS = 100  # of one change, at accounts of members that were refused
_UNKNOWN_MEMBER = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
_Change = AddMembers | RemoveMembers


class _GroupGone(Refused):
    """Somebody else deleted the group upstream."""


def change_members(client: ScimClient, ledger: Ledger, operation: _Change) -> str:
    """Add or remove the members of one group, in chunks. Returns what was done. Raises Refused.

    A member that the upstream refuses holds none of the others back; it is named in the refusal, and looked up: it may
    be gone, and then it has to be created again. A group that is gone upstream has lost its members as well.
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
    standing = ledger.groups.standing(operation.subject)
    if standing is not None and standing.in_doubt:
        there = _read(client, ledger, operation)
        ledger.groups.members_observed(operation.subject, there)
        todo = [member for member in todo if (member.scim_id in there) != adding]
    ledger.groups.members_begin(operation.subject)
    sending = _Sending(client, ledger, operation)
    for chunk in batched(todo, client.service.members_per_patch):
        sending.send(chunk)
    there = _read(client, ledger, operation)
    ledger.groups.members_observed(operation.subject, there)
    if sending.refused:
        member, reason = sending.refused[0]
        raise Refused(
            f"{len(sending.refused)} of {len(operation.members)} members were refused, among them {member.scim_id}: "
            f"{reason}"
        )
    # Some services accept whom they do not have (any more), and ignore it.
    without_effect = [m for m in todo if (m.scim_id in there) != adding and not sending.is_gone(m)]
    if without_effect:
        raise Refused(
            f"the upstream accepted the change, but {len(without_effect)} of {len(operation.members)} "
            "members are not as "
            f"asked when read back, among them {without_effect[0].scim_id}"
        )
    ledger.groups.members_confirmed(operation)
    if adding and sending.lost:
        first = next(iter(sending.lost.values()))
        raise Refused(
            f"{len(sending.lost)} of {len(operation.members)} members are gone upstream, among them {first}",
            recorded=True,
        )
    return f"{len(operation.members)} {'added' if adding else 'removed'}"


def read_members(client: ScimClient, ledger: Ledger, operation: ReadMembers) -> str:
    """Record whom a group has upstream. Returns what was found. Raises Refused."""
    there = _read(client, ledger, operation)
    ledger.groups.members_observed(operation.subject, there)
    ledger.groups.members_confirmed(operation)
    return f"{len(there)} found"


@dataclass(slots=True)
class _Sending:
    """Sends one change, and keeps who could not be added or removed.

    refused:  members with the reason
    lost:     what is told of members whose account is gone, by SCIM id; the ledger has forgotten them
    """

    client: ScimClient
    ledger: Ledger
    operation: _Change
    refused: list[tuple[Member, str]] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    _looks: int = 0
    _sure_of_the_token: bool = False

    def send(self, chunk: Sequence[Member]) -> None:
        """Send one PATCH; when it is refused, halve it until the members that cause it are found."""
        path = group_address(self.operation.scim_id)
        answer = self.client.request("PATCH", path, _patch(self.operation, chunk), may_be_forbidden=True)
        if answer.ok:
            self._acknowledge(chunk)
            return
        if answer.status == HTTPStatus.FORBIDDEN and not self._sure_of_the_token:
            make_sure_of_the_token(self.client, answer)  # once: the group is read back in the end anyway
            self._sure_of_the_token = True
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Refused(answer.words, temporary=True)
        if len(chunk) == 1:
            self._refuse(chunk[0], answer)
            return
        if answer.status == HTTPStatus.NOT_FOUND:
            _read(self.client, self.ledger, self.operation)  # tells a group that is gone from a member that is gone
        middle = len(chunk) // 2
        self.send(chunk[:middle])
        self.send(chunk[middle:])

    def _acknowledge(self, chunk: Sequence[Member]) -> None:
        if isinstance(self.operation, AddMembers):
            self.ledger.groups.members_added(self.operation.subject, chunk)
        else:
            self.ledger.groups.members_removed(self.operation.subject, chunk)

    def _refuse(self, member: Member, answer: Answer) -> None:
        if answer.status not in _UNKNOWN_MEMBER or not self.is_gone(member):
            self.refused.append((member, answer.words))

    def is_gone(self, member: Member) -> bool:
        """Look whether the account of a member is gone upstream. After many looks nobody is."""
        account = self.ledger.account(member.scim_id)
        if account is not None and self._looks < _LOOKS:
            self._looks += 1
            if gone := look_at_account(self.client, self.ledger, account):
                self.lost[member.scim_id] = f"{account.subject.label}: {gone}"
        return member.scim_id in self.lost


def _patch(operation: _Change, chunk: Sequence[Member]) -> dict[str, object]:
    changes: list[dict[str, object]]
    if isinstance(operation, AddMembers):
        changes = [{"op": "add", "path": "members", "value": [{"value": member.scim_id} for member in chunk]}]
    else:
        changes = [{"op": "remove", "path": f'members[value eq "{_quoted(m.scim_id)}"]'} for m in chunk]
    return {"schemas": [PATCH_SCHEMA], "Operations": changes}


def _read(client: ScimClient, ledger: Ledger, operation: _Change | ReadMembers) -> frozenset[str]:
    answer = client.request("GET", group_address(operation.scim_id), may_be_forbidden=True)
    make_sure_of_the_token(client, answer)
    if answer.status == HTTPStatus.NOT_FOUND:
        ledger.groups.lost(operation.subject)
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
