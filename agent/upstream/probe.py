"""What `rollcall check` says about the upstream. It only reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from agent.errors import RollcallError, UpstreamRefusedToken
from agent.upstream.brake import Brake
from agent.upstream.client import ScimClient
from agent.upstream.lookup import GROUPS, USERS
from agent.upstream.service import Service
from connectors.base import Finding

_ONE = {"startIndex": "1", "count": "1"}


def probe(service: Service) -> list[Finding]:
    """Try the address, the token, and reading users and groups. Never raises RollcallError."""
    findings: list[Finding] = []
    try:
        with ScimClient(service, Brake(threading.Event())) as client:
            for endpoint, what in ((USERS, "users"), (GROUPS, "groups")):
                answer = client.request("GET", endpoint, params=_ONE)
                if answer.ok:
                    findings.append(Finding("upstream", ok=True, message=f"{service.base} lets {what} be read"))
                else:
                    remedy = "Check [upstream] url and that the token may manage users and groups."
                    message = f"reading {what} at {service.base}{endpoint} was refused: {answer.words}"
                    findings.append(Finding("upstream", ok=False, message=message, remedy=remedy))
            configuration = client.request("GET", "/ServiceProviderConfig")
            if configuration.ok and not _supports(configuration.body, "patch"):
                message = f"{service.base} says that it does not support PATCH, which memberships need"
                remedy = "Ask the service's vendor; some say so and support it all the same."
                findings.append(Finding("upstream", ok=False, message=message, remedy=remedy))
    except RollcallError as error:
        findings.append(Finding("upstream", ok=False, message=str(error)))
    return findings


def trouble_with_address(service: Service) -> str:
    """Say why no SCIM service answers; empty where one does, and be it to refuse the token."""
    try:
        with ScimClient(service, Brake(threading.Event())) as client:
            client.request("GET", "/ServiceProviderConfig")
    except UpstreamRefusedToken:
        return ""
    except RollcallError as error:
        return str(error)
    return ""


def _supports(configuration: Mapping[str, object], feature: str) -> bool:
    part = configuration.get(feature)
    return not isinstance(part, dict) or part.get("supported") is not False
