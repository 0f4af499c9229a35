"""A state that cannot be used: each kind of trouble is told with its own remedy, and by the file that it is about."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.state.unusable import unusable
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

_PAGE = 4096
_ALLOWED = 16 * 1024  # bytes: less than SQLite needs to begin with


@pytest.fixture
def ready(agent: Agent, scim: ScimService) -> Agent:
    """One cycle has run."""
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    agent.configure(scim)
    assert agent.sync()["exit_code"] == 0
    return agent


def damage(agent: Agent, *, first_page: bool) -> None:
    file = agent.state / "rollcall.sqlite3"
    if first_page:
        file.write_bytes(b"this is no database" * 1000)
        return
    content = bytearray(file.read_bytes())
    for start in range(4 * _PAGE, len(content), _PAGE):
        content[start : start + 64] = b"\xff" * 64
    file.write_bytes(content)


@pytest.mark.parametrize("first_page", [True, False])
@pytest.mark.parametrize("command", ["sync", "status", "plan", "check"])
def test_of_a_damaged_state_the_back_up_is_put_back(ready: Agent, command: str, first_page: bool) -> None:
    damage(ready, first_page=first_page)

    done = ready.run(command)

    told = done.out + done.err
    assert done.code == 2
    assert f"The state {ready.state / 'rollcall.sqlite3'} cannot be used" in told
    assert 'keeping.md, "Restore the state"' in told
    assert "moved away" not in told


def test_a_state_of_a_newer_version_is_named_where_it_is(ready: Agent) -> None:
    with closing(sqlite3.connect(ready.state / "rollcall.sqlite3")) as connection, connection:
        connection.execute("update alembic_version set version_num = '9999'")

    done = ready.run("plan")

    assert done.code == 2
    assert f"{ready.state / 'rollcall.sqlite3'} was written by a newer version" in done.err


def with_a_full_disk(agent: Agent, command: str) -> subprocess.CompletedProcess[str]:
    """Run it where no file may grow, which is how a full disk looks to a program."""
    return subprocess.run(
        [sys.executable, "-m", "agent", command, "--config", str(agent.configuration)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (_ALLOWED, _ALLOWED)),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_on_a_full_disk_check_says_that_the_state_takes_no_more_data(ready: Agent) -> None:
    done = with_a_full_disk(ready, "check")

    assert done.returncode == 2
    assert f"NOT OK  state: {ready.state} takes no more data" in done.stdout
    assert "Make room" in done.stdout
    assert "may be written" not in done.stdout


def test_a_full_disk_is_no_damage(ready: Agent) -> None:
    done = with_a_full_disk(ready, "status")

    assert done.returncode == 2
    assert "disk is full" in done.stderr
    assert "Restore the state" not in done.stderr


def _no_room(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "a")) as connection:
        connection.execute("pragma max_page_count = 1")
        connection.execute("create table t (c)")


def _no_right(directory: Path) -> None:
    sqlite3.connect(directory / "a").close()
    with closing(sqlite3.connect(f"{(directory / 'a').as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("create table t (c)")


def _no_way(directory: Path) -> None:
    sqlite3.connect(directory / "nowhere" / "a")


def _held(directory: Path) -> None:
    with (
        closing(sqlite3.connect(directory / "a", timeout=0)) as one,
        closing(sqlite3.connect(directory / "a", timeout=0)) as another,
    ):
        one.execute("begin exclusive")
        another.execute("create table t (c)")


@pytest.mark.parametrize(
    ("trouble", "said", "remedy"),
    [
        (_no_room, "database or disk is full", "Make room on its disk"),
        (_no_right, "readonly", "Run as the service account, or correct the owner"),
        (_no_way, "unable to open", "Run as the service account, or correct the owner"),
        (_held, "locked", "Another program holds the file"),
    ],
)
def test_what_sqlite_tells_apart_has_remedies_of_its_own(
    tmp_path: Path, trouble: Callable[[Path], None], said: str, remedy: str
) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        trouble(tmp_path)

    told = str(unusable(tmp_path / "a", caught.value))

    assert said in told
    assert remedy in told
    assert "damaged" not in told


def test_a_disk_without_room_for_a_copy_is_not_that_of_the_state(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        _no_room(tmp_path)

    told = str(unusable(Path("/var/lib/rollcall/a"), caught.value, copy=Path("/tmp/rollcall-1/a")))

    assert "cannot be made in /tmp/rollcall-1: database or disk is full" in told
    assert "TMPDIR" in told
