"""Back-up, restore, move and the way back to an older version, typed as the guide tells."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.agent_runner import NO_LIMITS, Agent
from tests.guide import block_of, run_as_told
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService
from tests.warm_agent import RunningAgent

DOCUMENT = "keeping.md"
FIRST = "Of the first connection"
ROLLCALL = """#!/bin/sh
echo "$@" >> {root}/calls
case "$*" in
"service stop" | "service uninstall")
    [ ! -e {root}/pid ] || kill "$(cat {root}/pid)"
    while [ -e {root}/pid ] && grep -q "^[0-9]* [^)]*) [^Z]" "/proc/$(cat {root}/pid)/stat" 2>/dev/null; do
        sleep 0.02
    done
    ;;
"service "*) ;;
*" --config "*) exec {python} -m agent "$@" ;;
*) exec {python} -m agent "$@" --config {root}/etc/rollcall/agent.toml ;;
esac
"""


class Installation(Agent):
    """A machine, below a directory of its own: settings and state where the packages have them."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "etc" / "rollcall")
        self.root = root
        self.directory.mkdir(parents=True)
        (root / "bin").mkdir()
        program = root / "bin" / "rollcall"
        program.write_text(ROLLCALL.format(root=root, python=sys.executable))
        program.chmod(0o755)

    @property
    def state(self) -> Path:
        return self.root / "var" / "lib" / "rollcall"

    def configure_service(self, scim: ScimService) -> None:
        """The directory is not on this machine, and neither is the service."""
        source = {"name": "corp", "connector": "ldif", "file": str(self.root.parent / "directory.ldif")}
        state = {"state_dir": "../../var/lib/rollcall"}
        self.configure(scim, source, guard=NO_LIMITS, agent=state, schedule={"every": "1s"})

    def run_service(self) -> RunningAgent:
        running = self.start("run")
        (self.root / "pid").write_text(str(running.pid))
        return running

    def type(self, told: str) -> str:
        """Run what the guide tells on this machine."""
        here = {
            "--directory /": f"--directory {self.root}",
            "/var/lib/": f"{self.root}/var/lib/",
            "/etc/rollcall": f"{self.root}/etc/rollcall",
        }
        return run_as_told(
            told, {word: place for word, place in here.items() if word in told}, self.root.parent,
            **os.environ | {"PATH": f"{self.root}/bin:{os.environ['PATH']}"},
        )  # fmt: skip

    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()


def told_under(heading: str, before: str = "") -> str:
    return block_of(DOCUMENT, heading, "sh", before)


@pytest.fixture
def machine(tmp_path: Path, scim: ScimService) -> Installation:
    """It was backed up after a cycle."""
    machine = Installation(tmp_path / "machine")
    machine.configure_service(scim)
    write_directory(machine, people(6) + group("app-a", *uids(4)) + group("app-b", *uids(6)))
    assert machine.sync()["exit_code"] == 0
    machine.type(told_under("Back-up"))
    return machine


def write_directory(machine: Installation, text: str) -> None:
    (machine.root.parent / "new.ldif").write_text(text)
    (machine.root.parent / "new.ldif").rename(machine.root.parent / "directory.ldif")


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


def go_on_after_the_back_up(machine: Installation, scim: ScimService) -> None:
    """Since the back-up new came and left again, and u0 left app-a."""
    write_directory(
        machine, people(6) + person("new") + group("app-a", *uids(4)[1:], "new") + group("app-b", *uids(6))
    )  # fmt: skip
    assert machine.sync()["exit_code"] == 0
    assert scim.membership()["app-a"] == mails("u1", "u2", "u3", "new")
    write_directory(machine, people(6) + group("app-a", *uids(4)[1:]) + group("app-b", *uids(6)))


def assert_in_step(machine: Installation, scim: ScimService) -> None:
    assert scim.membership() == {"app-a": mails("u1", "u2", "u3"), "app-b": mails(*uids(6))}
    assert scim.active() == mails(*uids(6))
    assert machine.sync()["counts"]["planned"] == 0


def test_a_back_up_is_made_of_a_stopped_service_and_is_whole(
    machine: Installation, scim: ScimService, tmp_path: Path
) -> None:
    service = machine.run_service()
    write_directory(machine, people(7) + group("app-a", *uids(7)))
    wait_for(lambda: scim.membership()["app-a"] == mails(*uids(7)))

    machine.type(told_under("Back-up"))

    assert service.wait(20) == 0
    shutil.unpack_archive(tmp_path / "rollcall-backup.tar.gz", tmp_path / "unpacked", filter="data")

    unpacked = tmp_path / "unpacked"
    assert (unpacked / "etc" / "rollcall" / "scim.token").exists()
    assert (unpacked / "var" / "lib" / "rollcall" / "audit.jsonl").exists()
    assert not list(unpacked.rglob("*-wal"))
    assert (tmp_path / "rollcall-backup.tar.gz").stat().st_mode & 0o077 == 0


def test_a_restored_state_is_brought_up_to_what_was_done_since(machine: Installation, scim: ScimService) -> None:
    go_on_after_the_back_up(machine, scim)

    machine.type(told_under("Restore the state", FIRST))
    for _ in range(2):
        machine.sync()

    assert_in_step(machine, scim)


def test_a_second_restore_keeps_what_the_first_put_aside(machine: Installation, scim: ScimService) -> None:
    go_on_after_the_back_up(machine, scim)
    replaced = []
    for _ in range(2):
        replaced.append((machine.state / "rollcall.sqlite3").read_bytes())
        machine.type(told_under("Restore the state", FIRST))
        time.sleep(1)  # the directories are told apart by the second

    aside = machine.root / "var" / "lib" / "rollcall-aside"
    assert [path.read_bytes() for path in sorted(aside.glob("*/rollcall.sqlite3"))] == replaced
    assert aside.stat().st_mode & 0o077 == 0


def test_a_damaged_state_is_told_and_the_restored_one_goes_on(machine: Installation, scim: ScimService) -> None:
    (machine.state / "rollcall.sqlite3").write_bytes(b"no database" * 1000)
    told = machine.run("status")
    assert (told.code, "cannot be used" in told.err) == (2, True)

    machine.type(told_under("Restore the state", FIRST))

    assert machine.sync()["exit_code"] == 0
    assert scim.membership()["app-b"] == mails(*uids(6))


def test_a_new_disk_gets_everything_back_and_compares_with_what_stands_upstream(
    machine: Installation, scim: ScimService
) -> None:
    go_on_after_the_back_up(machine, scim)
    shutil.rmtree(machine.root)
    new = Installation(machine.root)

    new.type(told_under("Everything is lost"))

    assert new.calls() == ["check", "sync --full", "service install", "service start"]
    # As the guide says: who came after the back-up and has left since is not known to be Rollcall's.
    assert scim.membership() == {"app-a": mails("u1", "u2", "u3", "new"), "app-b": mails(*uids(6))}
    assert scim.active() == mails(*uids(6), "new")
    assert len(scim.users) == 7


def test_without_any_back_up_nobody_is_made_twice_and_who_left_before_stays(
    machine: Installation, scim: ScimService
) -> None:
    shutil.rmtree(machine.state)
    write_directory(machine, people(5) + group("app-a", *uids(3)) + group("app-b", *uids(5)))

    assert machine.sync()["exit_code"] == 0
    assert scim.membership() == {"app-a": mails(*uids(4)), "app-b": mails(*uids(6))}
    reports = [machine.sync("--full"), machine.sync("--full")]

    assert [report["exit_code"] for report in reports] == [0, 0]
    assert len(scim.users) == 6
    assert scim.active() == mails(*uids(6))
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(6))}


def test_on_another_machine_the_agent_goes_on_where_it_was(
    machine: Installation, scim: ScimService, tmp_path: Path
) -> None:
    go_on_after_the_back_up(machine, scim)
    machine.type(told_under("Move to another machine", "On the old machine"))
    assert machine.calls()[-1] == "service uninstall"
    new = Installation(tmp_path / "another")

    printed = new.type(told_under("Move to another machine", "Then:"))

    assert new.calls() == ["check", "plan", "service install", "service start"]
    assert "create" not in printed
    assert not (tmp_path / "rollcall-move.tar.gz").exists()
    accounts = set(scim.users)
    assert new.sync()["exit_code"] == 0
    assert set(scim.users) == accounts
    assert_in_step(new, scim)


def test_the_older_version_refuses_the_newer_state_and_goes_on_with_the_one_of_before(
    machine: Installation, scim: ScimService
) -> None:
    """The program cannot be made older here, so the state is made newer than it."""
    go_on_after_the_back_up(machine, scim)
    with sqlite3.connect(machine.state / "rollcall.sqlite3") as newer:
        newer.execute("update alembic_version set version_num = '9999'")
    refused = machine.run("run")
    assert (refused.code, "was written by a newer version of Rollcall" in refused.err) == (2, True)

    machine.type(told_under("Restore the state", FIRST).partition("rollcall plan")[0])

    assert machine.run("plan").code == 0
    for _ in range(2):
        machine.sync()
    assert_in_step(machine, scim)


def test_a_new_token_is_put_in_place_and_tried(machine: Installation, scim: ScimService, tmp_path: Path) -> None:
    machine.sections["upstream"].pop("token_file")
    machine.write()
    (machine.directory / "credentials").mkdir()
    (tmp_path / "pasted").write_text("Another-Token-2026\n")
    scim.token = "Another-Token-2026"
    (machine.directory / "credentials" / "upstream.token").write_text("former-token\n")
    refused = machine.run("check")
    assert refused.code == 5, refused.out + refused.err
    told = told_under("Another password or token")
    assert told.startswith("rollcall secret upstream.token\n")

    machine.type(told.replace("upstream.token", f"upstream.token < {tmp_path / 'pasted'}", 1))

    assert machine.calls()[-4:] == ["secret upstream.token", "check", "service stop", "service start"]
    assert (machine.directory / "credentials" / "upstream.token").stat().st_mode & 0o777 == 0o600
    assert machine.sync()["exit_code"] == 0


def test_a_wrong_token_shows_in_check_at_once_and_in_a_cycle_that_has_something_to_send(
    machine: Installation, scim: ScimService
) -> None:
    scim.token = "Another-Token-2026"

    codes = [machine.run("sync").code, machine.run("check").code]
    write_directory(machine, people(7) + group("app-a", *uids(7)))
    codes.append(machine.run("sync").code)

    assert codes == [0, 5, 5]
