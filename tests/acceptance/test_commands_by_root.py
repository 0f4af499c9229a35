"""What root is asked to do with a state is done as the account that the state belongs to."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def theirs(scim: ScimService) -> Iterator[Agent]:
    """A state that belongs to nobody, the account; settings that it may read, and a token that only root may."""
    directory = Path(tempfile.mkdtemp(prefix="rollcall-"))  # not tmp_path: another account does not come into that
    directory.chmod(0o755)
    agent = Agent(directory)
    agent.ldif.write_text(people(12) + group("app-a", *uids(12)))
    agent.configure(scim)
    (directory / "scim.token").chmod(0o600)
    agent.state.mkdir(mode=0o700)
    os.chown(agent.state, NOBODY.pw_uid, NOBODY.pw_gid)
    yield agent
    shutil.rmtree(directory)


def owners(agent: Agent) -> set[str]:
    return {pwd.getpwuid(path.stat().st_uid).pw_name for path in (agent.state, *agent.state.iterdir())}


def test_every_command_leaves_files_that_the_service_can_write(theirs: Agent, scim: ScimService) -> None:
    told = theirs.run("sync")

    assert (told.code, len(scim.active())) == (0, 12)
    assert "nobody" in told.err
    assert owners(theirs) == {"nobody"}
    for command in (["provision", "u1@example.com"], ["status"], ["external", "opt-in"], ["sync", "--full"]):
        assert theirs.run(*command).code == 0, command
        assert owners(theirs) == {"nobody"}


def test_an_approval_by_root_is_kept_for_the_service_and_names_root(theirs: Agent, scim: ScimService) -> None:
    assert theirs.run("sync").code == 0
    theirs.ldif.write_text(people(12) + group("app-a", "u0"))
    held = theirs.run("sync")
    assert held.code == 3
    digest = theirs.run("plan", "--json").document["digest"]

    assert theirs.run("approve", digest, LOGNAME="root").code == 0

    assert owners(theirs) == {"nobody"}
    assert theirs.run("sync").code == 0
    assert len(scim.active()) == 1
    assert {line.get("approved_by") for line in theirs.run("audit", "--json").document} >= {"root"}


def test_the_daemon_started_by_root_runs_as_the_account(theirs: Agent, scim: ScimService) -> None:
    running = theirs.start("run")
    try:
        wait_for(lambda: len(scim.active()) == 12)
        status = Path(f"/proc/{running.pid}/status").read_text()
    finally:
        running.terminate()
        running.wait(30)

    uids_of_process = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert set(uids_of_process) == {str(NOBODY.pw_uid)}
    assert owners(theirs) == {"nobody"}


def test_roots_own_state_stays_with_root(agent: Agent, scim: ScimService) -> None:
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.configure(scim)

    assert agent.run("sync").code == 0

    assert owners(agent) == {"root"}
