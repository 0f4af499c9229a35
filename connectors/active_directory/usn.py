"""Change detection by uSNChanged (MS-ADTS 3.1.1.1.9), where DirSync is not to be had.

Every change gives the entry a higher number, on that domain controller. Deleted entries keep their objectGUID, and
get a number like the others; a control shows them to whoever may see the container they are in.

It tells that a group changed, and not how: its members are read anew. And it does not tell in which groups an entry is
that was restored from the deleted ones: then everything is read anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from connectors.active_directory.entries import GUID, read_guid
from connectors.active_directory.landmarks import USN, Whereabouts
from connectors.active_directory.lookup import LookUp
from connectors.active_directory.notices import Notice, Notices
from connectors.active_directory.witnesses import U_S_N_CHANGED
from connectors.errors import CheckpointRefused
from connectors.ldap.detection import Position

_RESTORED = "restored"


class UsnChanged:
    """Asks for the entries whose number is higher than the highest of the last time."""

    name = U_S_N_CHANGED
    needed = (U_S_N_CHANGED,)  # an entry that does not show its number would never be found again

    def __init__(self, look_up: LookUp, whereabouts: Whereabouts) -> None:
        self._look_up = look_up
        self._whereabouts = whereabouts

    def begin(self) -> Mapping[str, str]:
        """Note who was restored before: they bear the mark of it from then on."""
        return {_RESTORED: " ".join(sorted(self._look_up.restored()))}

    def refuse(self, since: Position) -> None:
        """A number is a number."""

    def notices(self, since: Position) -> tuple[Notices, Mapping[str, str]]:
        """Search the whole domain, deleted entries included: whoever left the bases has changed, too."""
        notices: Notices = {}
        restored = set(since[_RESTORED].split())
        for found in self._look_up.numbered_from(int(since[USN]) + 1):
            anchor = read_guid(found.attributes.get(GUID, ()))
            if anchor is None:
                raise CheckpointRefused(f"{found.dn} changed and does not show its objectGUID")
            deleted = list(found.attributes.get("isdeleted", ())) == [b"TRUE"]
            notices[anchor] = Notice(whole=True, deleted=deleted)
            if deleted:
                restored.discard(anchor)
            elif found.attributes.get("lastknownparent") and anchor not in restored:
                raise CheckpointRefused(f"{found.dn} was restored from the deleted objects, perhaps with its groups")
        return notices, {_RESTORED: " ".join(sorted(restored))}
