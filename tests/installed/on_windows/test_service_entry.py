"""What the list of services is told, and what the process that Windows starts answers; without a real list."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import win32service
import winerror

from agent.errors import UsageProblem
from agent.service.windows import host, package, registration
from agent.service.windows.names import Service, service_of

RESTARTS = [(win32service.SC_ACTION_RESTART, 10_000), (win32service.SC_ACTION_RESTART, 60_000)]


def test_the_entry_says_all_that_windows_has_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, Any] = {}
    monkeypatch.setattr(win32service, "ChangeServiceConfig2", lambda _handle, level, value: told.update({level: value}))

    assert list(registration._details(None)) == []

    assert told[win32service.SERVICE_CONFIG_FAILURE_ACTIONS]["Actions"] == RESTARTS
    assert told[win32service.SERVICE_CONFIG_FAILURE_ACTIONS]["ResetPeriod"] == 300
    assert told[win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO] is True
    assert told[win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO] == 90_000
    assert told[win32service.SERVICE_CONFIG_SERVICE_SID_INFO] == 1  # SERVICE_SID_TYPE_UNRESTRICTED


def test_an_account_with_a_password_is_refused(tmp_path: Path) -> None:
    service = service_of(tmp_path / "agent.toml", tmp_path)

    with pytest.raises(UsageProblem, match="group managed service account"):
        registration.register(service, None, "CORP\\somebody")


class Manager:
    """Notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask_to_stop(self) -> None:
        self.asked.append("stop")

    def ask_to_reload(self) -> None:
        self.asked.append("reload")


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def hosted(manager: Manager) -> host.Host:
    service = host.Host.__new__(host.Host)
    service._manager = manager
    return service


def test_a_shutdown_stops_it_and_paramchange_has_it_read_its_settings(hosted: host.Host, manager: Manager) -> None:
    accepted = hosted.GetAcceptedControls()

    assert accepted & win32service.SERVICE_ACCEPT_PRESHUTDOWN
    assert accepted & win32service.SERVICE_ACCEPT_PARAMCHANGE
    assert accepted & win32service.SERVICE_ACCEPT_STOP
    assert hosted.SvcOtherEx(win32service.SERVICE_CONTROL_PARAMCHANGE, 0, None) is None
    assert hosted.SvcOtherEx(win32service.SERVICE_CONTROL_PRESHUTDOWN, 0, None) is None
    assert hosted.SvcOtherEx(200, 0, None) == winerror.ERROR_CALL_NOT_IMPLEMENTED
    assert manager.asked == ["reload", "stop"]


def test_the_event_log_hears_where_a_defect_is_and_not_with_what_values() -> None:
    try:
        int("swordfish")
    except ValueError:
        told = host._without_values()

    assert "test_service_entry.py" in told
    assert "ValueError" in told
    assert "swordfish" not in told


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the settings in the place of the real one."""
    home = tmp_path / "Rollcall"
    for module in ("agent.service.windows.package", "agent.service.windows.names", "agent.operating_system"):
        monkeypatch.setattr(f"{module}.default_configuration_file", lambda: home / "agent.toml")
    monkeypatch.setattr("agent.operating_system.default_state_directory", lambda: home / "state")
    home.mkdir()
    return home


def test_an_upgrade_touches_no_state_whose_settings_it_cannot_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single, broken = service_of(home / "agent.toml", home), service_of(home / "hr.toml", home)
    broken.configuration.write_text("[skope]")
    states: dict[str, Path | None] = {}

    def register(service: Service, state: Path | None, *_more: object, **_others: object) -> None:
        states[service.name] = state

    monkeypatch.setattr(package, "register", register)
    monkeypatch.setattr(package, "all_registered", lambda _home: [single, broken])

    package.prepare()

    assert states == {"Rollcall": home / "state", "Rollcall$hr": None}


def test_an_account_that_cannot_be_given_again_does_not_keep_rollcall_from_being_installed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "logs").mkdir()
    accounts = {
        "agent": "LocalSystem",
        "hr": "CORP\\somebody",
        "eu": "CORP\\rollcall$",
        "uk": "NT SERVICE\\Rollcall$uk",
    }
    entries = {f"{name}.toml": {"account": account, "automatic": True} for name, account in accounts.items()}
    (home / "services.json").write_text(json.dumps(entries))
    given: dict[str, str | None] = {}

    def register(service: Service, _state: Path | None, account: str | None, *, automatic: bool | None) -> None:
        assert automatic
        given[service.name] = account

    monkeypatch.setattr(package, "register", register)
    monkeypatch.setattr(package, "all_registered", lambda _home: [])

    assert package.main(["prepare"]) == 0

    kept = {"Rollcall$eu": "CORP\\rollcall$", "Rollcall$uk": "NT SERVICE\\Rollcall$uk"}
    assert given == {"Rollcall": None, "Rollcall$hr": None} | kept
    told = (home / "logs" / "msi.log").read_text()
    assert "Rollcall ran as LocalSystem before it was removed. It runs as NT SERVICE\\Rollcall now" in told
    assert "Rollcall$hr ran as CORP\\somebody" in told
    assert not (home / "services.json").exists()


def test_what_the_msi_could_not_do_is_written_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "logs").mkdir()

    def refused(*_arguments: object, **_more: object) -> None:
        raise UsageProblem("It was not to be.")

    monkeypatch.setattr(package, "register", refused)
    monkeypatch.setattr(package, "all_registered", lambda _home: [])

    assert package.main(["prepare"]) == 2

    assert "prepare: It was not to be." in (home / "logs" / "msi.log").read_text()
