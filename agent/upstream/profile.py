"""How vendors differ from the RFCs, as data. Where a vendor has changed since, [upstream] overrides it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.errors import UsageProblem


class ExternalUsers(StrEnum):
    """What a service does with users of domains the organisation has not verified.

    LOCKED:    takes them in once; then the profile is the person's own, and only memberships may change
    INVITE:    invites them; they come in when they accept, and another address is another invitation
    ORDINARY:  treats them like everybody
    REFUSE:    refuses them
    """

    LOCKED = "locked"
    INVITE = "invite"
    ORDINARY = "ordinary"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Profile:
    """One vendor.

    renames_groups:  the name of a group can be changed
    account_schema:  how the URN of the extension begins that holds the vendor's own number of an account
    account_number:  the attribute of that extension
    """

    name: str
    external_users: ExternalUsers = ExternalUsers.ORDINARY
    renames_groups: bool = True
    account_schema: str = ""
    account_number: str = ""


_VENDORS = (
    Profile("generic"),
    # support.atlassian.com, "Understand user provisioning": an update of an account that the organisation does not
    # manage takes it out of its groups. The version at the end of the URN has changed before.
    Profile(
        "atlassian",
        ExternalUsers.LOCKED,
        renames_groups=False,
        account_schema="urn:scim:schemas:extension:atlassian-external:1.",
        account_number="atlassianAccountId",
    ),
    Profile("hugging-face", ExternalUsers.INVITE),
    Profile("workos", ExternalUsers.INVITE),
    Profile("notion", ExternalUsers.LOCKED),  # changing a profile needs a verified domain
    Profile("airbyte", ExternalUsers.REFUSE),
    Profile("sim", ExternalUsers.REFUSE),
    Profile("adobe", ExternalUsers.REFUSE),
)
PROFILES = {profile.name: profile for profile in _VENDORS}


def profile_of(name: str) -> Profile:
    """Return the profile of this name. Raises UsageProblem when there is none."""
    if name not in PROFILES:
        raise UsageProblem(
            f'upstream.profile: "{name}" is none of {", ".join(PROFILES)}. Write one of these; "generic" is for '
            "every other service."
        )
    return PROFILES[name]
