"""What is needed to reach one SCIM service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from agent.command_line import rollcall
from agent.domain_names import is_loopback
from agent.errors import UsageProblem
from agent.operating_system import default_configuration_file
from agent.plan.operations import Address
from agent.upstream.profile import PROFILES, ExternalUsers, Profile
from connectors.files import why_no_file

NOTED_ADDRESS = "address of the upstream"  # a fact: what the ledger holds stands there
_PORTS = {"http": 80, "https": 443}


def plain_address(url: str) -> str:
    """Return what all spellings of one address have in common (RFC 3986, 6.2); of any other text, that."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if not parts.hostname or "@" in url or parts.query or parts.fragment:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in {None, _PORTS.get(parts.scheme)} else f"{host}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class Service:
    """Address, credentials and limits of the upstream. `transport` is the seam for tests.

    address_of: judges an e-mail address by the policy

    Raises UsageProblem for an address the token must not be sent to.
    """

    url: str
    token: SecretStr
    ca_file: Path | None = None
    timeout_seconds: float = 30.0
    workers: int = 8
    attempts: int = 5
    members_per_patch: int = 100
    adopt: bool = True
    profile: Profile = PROFILES["generic"]
    external_users: ExternalUsers = ExternalUsers.ORDINARY
    address_of: Callable[[str], Address] = lambda email: Address(email, email.rpartition("@")[2])
    transport: Callable[[], httpx.BaseTransport] | None = None
    configuration: Path = field(default_factory=default_configuration_file)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if "@" in self.url or parts.query or parts.fragment:
            raise UsageProblem(
                "upstream.url: the address must not carry a user, a password or a query. Write the plain SCIM base "
                "URL, and put the token into token_file."
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageProblem(
                f'upstream.url: "{self.url}" is not an address. Write the SCIM base URL, like '
                '"https://api.example.com/scim/v2".'
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise UsageProblem(f'upstream.url: "{self.url}" would send the token unencrypted. Write https://.')
        if self.ca_file is not None and (why := why_no_file(self.ca_file)):
            raise UsageProblem(f"upstream.ca_file: the file {self.ca_file} {why}. Correct the path or the rights.")

    @property
    def where_the_token_goes(self) -> str:
        """Say how a new token is put in place: the settings that init has written name no file for it."""
        store = rollcall("secret upstream.token", self.configuration)
        return f"put it into [upstream] token_file, or store it with {store}"

    @property
    def base(self) -> str:
        """The base URL without a slash at its end."""
        return self.url.rstrip("/")
