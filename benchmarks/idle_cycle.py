"""A cycle with nothing to do, in a small directory and in a large one: requests, time, and the ratio of the times.

    python -m benchmarks.idle_cycle [SMALL LARGE]

Everybody stands upstream before the measured cycles begin.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import structlog

from agent.connection import connect
from agent.cycle import run_cycle
from agent.state.database import open_state
from tests.agent_runner import Agent
from tests.population.organisation import Organisation
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import History, OpenLdap
from tests.servers.scim_service import ScimService

_CYCLES = 31


def main() -> None:
    """Measure both and print the ratio."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sizes = [int(size) for size in sys.argv[1:3]] or [1_000, 100_000]
    seconds = [_measure(size) for size in sizes]
    print(f"idle cycle, {sizes[1]} / {sizes[0]} users: {seconds[1] / seconds[0]:.2f}")


def _measure(users: int) -> float:
    with tempfile.TemporaryDirectory() as name, ScimService() as scim:
        directory = Path(name)
        (directory / "slapd").mkdir()
        (directory / "agent").mkdir()
        server = OpenLdap(directory / "slapd", history=History.SESSION_LOG)
        server.load(Organisation.build(users=users, groups=200, seed=1).ldif(with_containers=False))
        with server, LdapFaultProxy(server.port) as proxy:
            agent = Agent(directory / "agent")
            source = server.settings(urls=[proxy.url], starttls=False)
            agent.configure(scim, source, upstream={"members_per_patch": 5000})
            connection, state = connect(agent.configuration), open_state(agent.state)
            began = time.perf_counter()
            run_cycle(connection, state)
            first = time.perf_counter() - began
            run_cycle(connection, state)
            sent, proxy.requests, times = len(scim.requests), 0, []
            for _ in range(_CYCLES):
                began = time.perf_counter()
                run_cycle(connection, state)
                times.append(time.perf_counter() - began)
            state.close()
            requests = proxy.requests / _CYCLES
            active = len(scim.active())
            print(
                f"{users:>7} users, {active} upstream: first cycle {first:.1f} s, then "
                f"{statistics.median(times) * 1000:.1f} ms a cycle, {requests:.1f} LDAP requests, "
                f"{len(scim.requests) - sent} requests upstream"
            )
            return statistics.median(times)


if __name__ == "__main__":
    main()
