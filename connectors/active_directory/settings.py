"""[[sources]] with connector = "active-directory"."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from connectors.ldap.settings import DirectorySettings

State = Literal["disabled", "locked", "expired"]


class ActiveDirectorySettings(DirectorySettings):
    r"""Which domain controllers, how to log on, and what to read of one domain.

    bind_dn:           a DN, a user principal name (reader@corp.example) or DOMAIN\user
    base_dn:           the domain (DC=corp,DC=example), or units of it
    changes:           how changes are found; auto takes the first that works
    inactive_when:     the states of an account that make its owner inactive
    service_accounts:  also accounts with a service principal name
    critical_accounts: also Administrator, Guest and the like (isCriticalSystemObject)
    replication_delay: how long another domain controller may need to hear of what the last one knew
    """

    not_part_of_what_is_read: ClassVar[frozenset[str]] = DirectorySettings.not_part_of_what_is_read | {
        "replication_delay"
    }

    anchor: Literal["objectGUID"] = "objectGUID"
    user_filter: str = "(&(objectCategory=person)(|(objectClass=user)(objectClass=contact)))"
    group_filter: str = "(objectClass=group)"
    changes: Literal["auto", "dirsync", "usn", "full"] = "auto"
    inactive_when: tuple[State, ...] = Field(default=("disabled",))
    service_accounts: bool = False
    critical_accounts: bool = False
    replication_delay: int = Field(default=3600, ge=0, le=604_800)

    @property
    def people(self) -> str:
        """The filter for people, without those that are left out."""
        out = [] if self.service_accounts else ["(!(servicePrincipalName=*))"]
        out += [] if self.critical_accounts else ["(!(isCriticalSystemObject=TRUE))"]
        return f"(&{self.user_filter}{''.join(out)})" if out else self.user_filter
