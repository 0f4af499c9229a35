"""Which function carries out which operation."""

from __future__ import annotations

from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    DeleteGroup,
    DeleteUser,
    Operation,
    ReadMembers,
    RemoveMembers,
    RetireAccount,
    UpdateGroup,
    UpdateUser,
)
from agent.upstream.client import ScimClient
from agent.upstream.groups import create_group, delete_group, update_group
from agent.upstream.ledger import Ledger
from agent.upstream.members import change_members, read_members
from agent.upstream.users import create_user, deactivate_user, delete_user, retire_account, update_user


def send(client: ScimClient, ledger: Ledger, operation: Operation) -> str:
    """Carry an operation out, and record its acknowledgement. Returns what was done. Raises Refused."""
    match operation:
        case CreateUser():
            detail = create_user(client, ledger, operation)
        case UpdateUser():
            detail = update_user(client, ledger, operation)
        case DeactivateUser():
            detail = deactivate_user(client, ledger, operation)
        case DeleteUser():
            detail = delete_user(client, ledger, operation)
        case DeleteGroup():
            detail = delete_group(client, ledger, operation)
        case RetireAccount():
            detail = retire_account(client, ledger, operation)
        case CreateGroup():
            detail = create_group(client, ledger, operation)
        case UpdateGroup():
            detail = update_group(client, ledger, operation)
        case AddMembers() | RemoveMembers():
            detail = change_members(client, ledger, operation)
        case ReadMembers():
            detail = read_members(client, ledger, operation)
    return detail
