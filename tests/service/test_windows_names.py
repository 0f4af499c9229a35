"""What belongs to a service of Windows, as far as it can be said on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import UsageProblem
from agent.service.windows.names import Service, is_ours, service_of


def test_the_sid_is_the_one_that_windows_computes() -> None:
    # A service whose SID everybody knows.
    installer = Service("TrustedInstaller", "", Path("agent.toml"))

    assert installer.sid == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"


def test_each_connection_has_a_service_with_secrets_and_a_log_of_its_own(tmp_path: Path) -> None:
    single, other = service_of(tmp_path / "agent.toml", tmp_path), service_of(tmp_path / "hr.toml", tmp_path)

    assert [single.name, other.name] == ["Rollcall", "Rollcall$hr"]
    assert [single.virtual_account, other.virtual_account] == ["NT SERVICE\\Rollcall", "NT SERVICE\\Rollcall$hr"]
    assert [single.log.name, other.log.name] == ["rollcall.log", "hr.log"]
    assert single.credentials != other.credentials
    assert single.sid != other.sid


@pytest.mark.parametrize(
    "name", ["elsewhere/agent.toml", "agent.conf", "a$b.toml", "human resources.toml", "straße.toml", "Rollcall.toml"]
)
def test_a_file_that_no_service_reads_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match="The service reads"):
        service_of(tmp_path / name, tmp_path)


def test_a_file_is_the_same_however_windows_spells_it(tmp_path: Path) -> None:
    assert service_of(tmp_path / "Agent.toml", tmp_path) == service_of(tmp_path / "agent.toml", tmp_path)


def test_services_of_others_are_not_taken_for_ours() -> None:
    names = ["Rollcall", "Rollcall$hr", "RollcallOther", "Rollcall$", "rollcall2", "Spooler"]

    assert [name for name in names if is_ours(name)] == ["Rollcall", "Rollcall$hr"]
