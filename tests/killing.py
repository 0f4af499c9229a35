"""An agent that is killed while the service handles one of its requests."""

from __future__ import annotations

from collections.abc import Callable

from tests.servers.scim_service import Fault, Request, ScimService
from tests.warm_agent import RunningAgent


def kill_at(
    scim: ScimService, process: RunningAgent, is_the_one: Callable[[Request], bool], *, carried_out: bool
) -> bool:
    """Kill the process at the first request that is the one, and wait until it is dead. Returns whether one was."""
    struck: list[Request] = []

    def strike(request: Request) -> bool:
        if struck or not is_the_one(request):
            return False
        struck.append(request)
        process.kill()
        process.wait()
        return True

    scim.faults.append(Fault(strike, drop="after" if carried_out else "before"))
    process.wait(timeout=60)
    scim.faults.clear()
    return bool(struck)
