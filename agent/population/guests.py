"""Guests whose logon name is made from their address at home.

Microsoft Entra ID names a guest `anna_partner.example#EXT#@corp.onmicrosoft.com`: the address with its @ written as _,
a marker, and the domain of the host (Microsoft Learn, "Properties of an Entra B2B collaboration user"). Directories
that are fed from it have that name as userPrincipalName. By its end the guest would pass for one of the host's own.
"""

from __future__ import annotations

import re

_MARKER = "#ext#@"
# No domain has an underscore, and a name may have several: the last one stands for the @. A domain that receives mail
# has a dot, so anna_smith is a name, and no address at smith.
_GUEST = re.compile(r"(?P<name>.+)_(?P<domain>[^_@\s.]+(?:\.[^_@\s.]+)+)#EXT#@.+", re.IGNORECASE)


def home_address(address: str) -> str:
    """Return the address a guest has at home, and every other address as it is."""
    guest = _GUEST.fullmatch(address)
    return f"{guest['name']}@{guest['domain']}" if guest else address


def hides_home(address: str) -> bool:
    """Tell whether an address, as home_address returns it, is still the logon name of a guest."""
    return _MARKER in address.casefold()
