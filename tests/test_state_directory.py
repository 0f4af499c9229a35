"""Where the state is kept when the settings do not say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import StateProblem
from agent.settings import load_settings
from agent.state.database import state_is_there
from tests.unprivileged import as_nobody

SETTINGS = """
[[sources]]
name = "corp"
connector = "ldif"
file = "directory.ldif"
[upstream]
url = "https://scim.example.com"
token = "token"
[scope]
groups = ["name:app-*"]
[external]
managed_domains = ["example.com"]
"""


@pytest.fixture
def of_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that stands for /etc/rollcall; /var/lib/rollcall is beside it."""
    directory = tmp_path / "etc"
    directory.mkdir()
    monkeypatch.setattr("agent.operating_system.default_configuration_file", lambda: directory / "agent.toml")
    monkeypatch.setattr("agent.operating_system.default_state_directory", lambda: tmp_path / "state")
    return directory


@pytest.mark.parametrize(("name", "state"), [("agent.toml", "state"), ("sales.toml", "state/sales")])
def test_two_connections_of_the_service_do_not_share_a_state(of_the_service: Path, name: str, state: str) -> None:
    (of_the_service / name).write_text(SETTINGS)

    assert load_settings(of_the_service / name).agent.state_dir == of_the_service.parent / state


def test_what_the_settings_say_holds(of_the_service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = of_the_service / "sales.toml"
    file.write_text(SETTINGS + '[agent]\nstate_dir = "elsewhere"\n')
    assert load_settings(file).agent.state_dir == of_the_service / "elsewhere"

    monkeypatch.setenv("ROLLCALL_AGENT__STATE_DIR", "/from/the/environment")
    assert load_settings(file).agent.state_dir == Path("/from/the/environment")


@pytest.mark.usefixtures("of_the_service")
def test_a_file_of_nobody_s_service_has_the_one_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text(SETTINGS)

    assert load_settings(tmp_path / "trial.toml").agent.state_dir == tmp_path / "state"


def test_who_may_not_look_for_the_state_is_told_so(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with as_nobody(), pytest.raises(StateProblem, match=r"cannot be looked at: Permission denied\. Run as root"):
        state_is_there(closed)
