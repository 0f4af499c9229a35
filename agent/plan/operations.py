"""The operations a plan consists of, in the order in which they are carried out.

Users before groups before members, because a membership needs both ends. Removals come last, and not at all when
the constructive part failed beyond its error budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

# In place of a digest: whatever is wanted of that object.
ANYTHING = "*"


class Phase(IntEnum):
    """The phases of a push. Within a phase the order does not matter, and workers share the operations."""

    USERS = 1
    GROUPS = 2
    ADD_MEMBERS = 3
    REMOVE_MEMBERS = 4
    DEACTIVATE_USERS = 5
    DELETE_GROUPS = 6
    DELETE_USERS = 7


DESTRUCTIVE = frozenset({Phase.REMOVE_MEMBERS, Phase.DEACTIVATE_USERS, Phase.DELETE_GROUPS, Phase.DELETE_USERS})


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an operation is about. `label` names it for people: a userName or a group's name."""

    entry_id: int
    label: str


@dataclass(frozen=True, slots=True)
class Address:
    """The e-mail address a user gets upstream, and where its domain stands by the policy."""

    email: str
    domain: str
    external: bool = False
    protected: bool = False
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class CreateUser:
    """A new account.

    attempted:   a create was sent before and its outcome is not known, so look before sending it again
    locked:      whoever is there already is taken over as it is: the upstream does not let us change the profile
    by_address:  another address is another account there: whoever is there already keeps the address it has
    replaces:    the SCIM id of the account whose place this one takes, because it has another address
    """

    subject: Subject
    payload: Mapping[str, object]
    digest: str
    attempted: bool
    address: Address
    locked: bool = False
    by_address: bool = False
    replaces: str | None = None
    verb = "create user"


@dataclass(frozen=True, slots=True)
class UpdateUser:
    """Replace what the upstream holds by `payload`; reactivation is one of these.

    locked:       the profile is not ours to change, so only the memberships come back
    reactivates:  of a locked one: the account is ours to activate again, and nothing else of it is sent
    """

    subject: Subject
    scim_id: str
    payload: Mapping[str, object]
    digest: str
    address: Address
    locked: bool = False
    reactivates: bool = False
    verb = "update user"


@dataclass(frozen=True, slots=True)
class DeactivateUser:
    """Set `active` to false and leave the rest.

    locked:     the account is not ours to deactivate, so nothing is sent; it has lost its memberships before
    out_of_use: the directory itself says so: the entry is gone, or disabled; it is no matter of groups or policies
    """

    subject: Subject
    scim_id: str
    cause: str
    locked: bool = False
    out_of_use: bool = False

    @property
    def verb(self) -> str:
        """What is done, in two words."""
        return "let go user" if self.locked else "deactivate user"


@dataclass(frozen=True, slots=True)
class RetireAccount:
    """Let go of an account whose place another one has taken: `locked` as with DeactivateUser."""

    subject: Subject
    scim_id: str
    cause: str
    locked: bool
    verb = "retire account"


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Delete an account that was deactivated long ago ([leavers] delete_after)."""

    subject: Subject
    scim_id: str
    cause: str
    verb = "delete user"


@dataclass(frozen=True, slots=True)
class DeleteGroup:
    """Delete a group that has been empty and out of the scope for long ([leavers] delete_groups_after)."""

    subject: Subject
    scim_id: str
    cause: str
    verb = "delete group"


@dataclass(frozen=True, slots=True)
class CreateGroup:
    """A group without members; they follow in the next phase."""

    subject: Subject
    payload: Mapping[str, object]
    digest: str
    verb = "create group"


@dataclass(frozen=True, slots=True)
class UpdateGroup:
    """A changed name. Members are never part of it."""

    subject: Subject
    scim_id: str
    payload: Mapping[str, object]
    digest: str
    verb = "rename group"


@dataclass(frozen=True, slots=True)
class Member:
    """A user both ends of a membership know: its number here, its SCIM id upstream; and why it is removed, if it is."""

    entry_id: int
    scim_id: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class AddMembers:
    """All members to add to one group; the push sends them in chunks."""

    subject: Subject
    scim_id: str
    members: tuple[Member, ...]
    digest: str
    verb = "add members"


@dataclass(frozen=True, slots=True)
class RemoveMembers:
    """All members to remove from one group; the push sends them in chunks.

    empties:  the group is still selected, and nobody in use is in it afterwards
    """

    subject: Subject
    scim_id: str
    members: tuple[Member, ...]
    digest: str
    empties: bool = False
    verb = "remove members"


@dataclass(frozen=True, slots=True)
class ReadMembers:
    """Find out whom a group in doubt has upstream; what differs is in the next plan."""

    subject: Subject
    scim_id: str
    verb = "read members"


Operation = (
    CreateUser
    | UpdateUser
    | DeactivateUser
    | RetireAccount
    | DeleteUser
    | DeleteGroup
    | CreateGroup
    | UpdateGroup
    | AddMembers
    | RemoveMembers
    | ReadMembers
)

OUT_OF_USE = ("deactivate user", "let go user")  # the verbs of DeactivateUser
VERBS = (
    CreateUser.verb,
    UpdateUser.verb,
    CreateGroup.verb,
    UpdateGroup.verb,
    AddMembers.verb,
    ReadMembers.verb,
    RemoveMembers.verb,
    *OUT_OF_USE,
    RetireAccount.verb,
    DeleteGroup.verb,
    DeleteUser.verb,
)

# Refused, they leave somebody in who ought to be out.
REMOVALS = frozenset({
    RemoveMembers.verb, *OUT_OF_USE, RetireAccount.verb, DeleteGroup.verb, DeleteUser.verb,
})  # fmt: skip
