"""A machine with systemd for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import command_line
from agent.cli import service as command
from agent.service import rights
from tests.service.on_linux.machine import SECRET, Machine


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Nothing is set up yet."""
    directory = Path(tempfile.mkdtemp(prefix="rollcall-"))  # not tmp_path: another account does not come into that
    machine = Machine(directory)
    monkeypatch.setenv("PATH", f"{machine.commands}:{os.environ['PATH']}")
    monkeypatch.setattr(command, "service_manager", lambda path: machine.service(path.name))
    monkeypatch.setattr(command_line, "default_configuration_file", lambda: machine.configuration)
    # The Python of whoever runs the tests may lie where no other account comes to.
    readable = Path("/usr/bin/python3")
    monkeypatch.setattr(rights.sys, "executable", str(readable))
    yield machine
    shutil.rmtree(directory)


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """Settings are there, and a token that only root may read."""
    settings = bare.places.settings
    (settings / "directory.ldif").write_text("")
    (settings / "credentials").mkdir(mode=0o700)
    (settings / "credentials" / "upstream.token").write_text(SECRET)
    bare.configuration.write_text(
        '[[sources]]\nname = "corp"\nconnector = "ldif"\nfile = "directory.ldif"\n'
        '[upstream]\nurl = "https://scim.example.com"\n[scope]\ngroups = ["name:*"]\n'
        '[external]\nmanaged_domains = ["example.com"]\n'
    )
    return bare
