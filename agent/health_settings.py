"""[health]: where the daemon can be asked how it goes, by HTTP (agent/observe/endpoint.py)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator

from agent.domain_names import is_loopback
from agent.settings_values import Duration, Section

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>\d{1,5})", re.ASCII)
_LAST_PORT = 65_535


def _address(listen: str) -> tuple[str, int]:
    """Take host and port apart. Raises ValueError."""
    match = _LISTEN.fullmatch(listen)
    host = (match["six"] or match["host"]) if match else ""
    host = "127.0.0.1" if host == "localhost" else host  # else it would depend on the resolver which of two it is
    port = int(match["port"]) if match else 0
    if match is None or not 0 < port <= _LAST_PORT or not _is_address(host, six=match["six"] is not None):
        raise ValueError(
            'write an address of this machine and a port, like "127.0.0.1:9464" or "[::1]:9464"; '
            '"" turns the endpoint off'
        )
    return host, port


def _is_address(host: str, *, six: bool) -> bool:
    try:
        return (ip_address(host).version == 6) == six  # noqa: PLR2004 - the version of IP
    except ValueError:
        return False


def _listen(value: str) -> str:
    if value:
        _address(value)
    return value


class HealthSettings(Section):
    """[health]. It tells no names and no secrets, but to whoever can connect: beyond loopback only if that is written.

    listen:        address and port; an empty text turns it off
    ready_within:  how long after a cycle was due it has to have read a source completely; else [notice] stale_after
    """

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9464"
    ready_within: Duration | None = None

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen at, if any."""
        return _address(self.listen) if self.listen else None

    @property
    def for_this_machine_only(self) -> bool:
        """Whether nobody else can connect."""
        return self.address is None or is_loopback(self.address[0])
