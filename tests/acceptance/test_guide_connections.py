"""Of several connections one is restored or removed, as the guide tells, and the other is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.acceptance.test_guide_keeping import Installation, told_under
from tests.agent_runner import NO_LIMITS, Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

REMOVE = "Remove one connection"
FIRST_ONE = {"agent.toml", "rollcall.sqlite3", "rollcall.lock", "audit.jsonl"}


class Sales(Agent):
    """A further connection of a machine."""

    def __init__(self, machine: Installation, service: ScimService) -> None:
        super().__init__(machine.directory)
        self._state = machine.state / "sales"
        source = {"name": "corp", "connector": "ldif", "file": str(machine.root.parent / "directory.ldif")}
        state = {"state_dir": "../../var/lib/rollcall/sales"}
        self.configure(service, source, guard=NO_LIMITS, agent=state)

    @property
    def configuration(self) -> Path:
        return self.directory / "sales.toml"

    @property
    def state(self) -> Path:
        return self._state


@pytest.fixture
def machine(tmp_path: Path, scim: ScimService) -> Installation:
    machine = Installation(tmp_path / "machine")
    (tmp_path / "directory.ldif").write_text(people(4) + group("app-a", *uids(4)))
    machine.configure_service(scim)
    return machine


@pytest.fixture
def other() -> Iterator[ScimService]:
    with ScimService() as service:
        yield service


@pytest.fixture
def sales(machine: Installation, other: ScimService) -> Sales:
    """Both connections have had their first cycle."""
    sales = Sales(machine, other)
    assert [machine.sync()["exit_code"], sales.sync()["exit_code"]] == [0, 0]
    return sales


def names_in(machine: Installation) -> set[str]:
    places = (machine.directory, machine.state, machine.state / "sales")
    return {path.name for place in places if place.exists() for path in place.iterdir()}


def test_a_further_connection_is_restored_while_the_first_one_runs(
    machine: Installation, sales: Sales, scim: ScimService, other: ScimService
) -> None:
    service = machine.run_service()
    wait_for((machine.state / "rollcall.sqlite3-wal").exists)
    machine.type(told_under("Back-up").replace("rollcall service stop\n", ""))
    (machine.root.parent / "directory.ldif").write_text(people(6) + group("app-a", *uids(6)))
    sales.sync()
    wait_for(lambda: len(scim.users) == 6)
    first = (machine.state / "rollcall.sqlite3").stat().st_ino

    machine.type(told_under("Restore the state", "everywhere").replace("NAME", "sales"))

    assert (machine.state / "rollcall.sqlite3").stat().st_ino == first
    (aside,) = (machine.root / "var" / "lib" / "rollcall-aside").iterdir()
    assert aside.name.startswith("sales-")
    assert (aside / "rollcall.sqlite3").exists()
    assert [sales.sync()["exit_code"], sales.sync()["exit_code"]] == [0, 0]
    assert len(other.users) == len(scim.users) == 6
    (machine.root.parent / "directory.ldif").write_text(people(7) + group("app-a", *uids(7)))
    wait_for(lambda: len(scim.users) == 7)
    service.terminate()
    assert service.wait(20) == 0


def test_a_further_connection_is_removed_and_the_first_one_stays(machine: Installation, sales: Sales) -> None:
    sales.run("secret", "corp.bind_password")

    machine.type(told_under(REMOVE, "For `NAME.toml`").replace("NAME", "sales"))

    assert names_in(machine) >= FIRST_ONE
    assert not [name for name in names_in(machine) if name.startswith("sales")]
    assert machine.sync()["exit_code"] == 0


def test_the_first_connection_is_removed_and_a_further_one_stays(machine: Installation, sales: Sales) -> None:
    machine.type(told_under(REMOVE, "Of the first connection"))

    assert machine.calls()[-1] == "service uninstall"
    assert not (machine.directory / "agent.toml").exists()
    assert [path.name for path in machine.state.iterdir()] == ["sales"]
    report = sales.sync()
    assert (report["exit_code"], report["counts"]["planned"]) == (0, 0)
