"""`rollcall service` on Linux: what systemd is asked to do, and what people are told."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.errors import UsageProblem
from agent.service import rights
from agent.service.installed import service_manager
from tests.service.on_linux.machine import Machine, further, run


def test_with_the_package_install_enables_the_unit_that_is_there(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.with_package()

    assert run(machine, "install") == 0

    assert machine.asked() == ["enable rollcall.service"]
    assert not machine.places.of_administrators.exists()
    told = capsys.readouterr().out
    assert "starts with the machine" in told
    assert "rollcall service start" in told


def test_install_makes_the_directories_for_secrets_that_the_unit_names(machine: Machine) -> None:
    machine.with_package()
    further(machine, "partners", "/var/lib/rollcall/partners")

    assert run(machine, "install") == 0
    assert main(["service", "install", "--config", str(machine.places.settings / "partners.toml")]) == 0

    # systemd does not start a unit of whose LoadCredential= the directory is missing.
    names = ("credentials", "credentials.encrypted", "partners.credentials", "partners.credentials.encrypted")
    assert [name for name in names if not (machine.places.settings / name).is_dir()] == []
    made = (machine.places.settings / "credentials.encrypted").stat()
    assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (0, 0o750)


def test_install_refuses_settings_that_the_service_cannot_read(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.with_package()
    (machine.places.settings / "directory.ldif").chmod(0o600)

    assert run(machine, "install") == 2

    assert machine.asked() == []
    told = capsys.readouterr().err
    assert "the account nobody cannot read" in told
    assert "directory.ldif: Permission denied" in told
    assert "upstream.token" not in told  # systemd hands that over


def test_install_refuses_a_secret_that_the_settings_name_and_root_alone_may_read(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    text = machine.configuration.read_text()
    machine.configuration.write_text(text.replace("[scope]", 'token_file = "credentials/upstream.token"\n[scope]'))

    assert run(machine, "install") == 2
    assert "upstream.token: Permission denied" in capsys.readouterr().err


def test_install_refuses_settings_that_are_wrong(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.configuration.write_text(machine.configuration.read_text().replace("[scope]", "[skope]"))

    assert run(machine, "install") == 2
    assert machine.asked() == []
    assert "skope" in capsys.readouterr().err


def test_without_the_package_install_writes_the_unit_for_this_python_and_uninstall_takes_it_away(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(machine, "install") == 0

    file = machine.places.of_administrators / "rollcall.service"
    text = file.read_text()
    assert f"ExecStart={sys.executable} -I -m agent run --config /etc/rollcall/agent.toml" in text
    assert "ProtectSystem=strict" in text
    assert machine.asked() == ["daemon-reload", "enable rollcall.service"]
    assert run(machine, "uninstall") == 0
    assert not file.exists()
    assert machine.asked()[2:] == ["disable --now rollcall.service", "daemon-reload"]
    told = capsys.readouterr().out
    assert "/var/lib/rollcall" in told
    assert "stay" in told


def test_a_python_that_the_service_could_not_see_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.hidden = ("/usr/bin",)

    assert run(machine, "install") == 2
    assert "see nothing below /usr/bin" in capsys.readouterr().err
    assert machine.asked() == []


def test_a_python_that_is_a_link_to_one_that_the_service_could_not_see_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden, link = machine.directory / "home", machine.directory / "python3"
    hidden.mkdir()
    shutil.copy(Path("/usr/bin/python3").resolve(), hidden / "python3")
    link.symlink_to(hidden / "python3")
    monkeypatch.setattr(rights.sys, "executable", str(link))
    machine.hidden = (str(hidden),)

    assert run(machine, "install") == 2
    assert f"see nothing below {hidden}" in capsys.readouterr().err


def test_a_file_that_the_service_could_not_see_is_refused(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.with_package()
    machine.hidden = (str(machine.places.settings / "private"),)
    (machine.places.settings / "private").mkdir()
    (machine.places.settings / "private" / "directory.ldif").write_text("")
    text = machine.configuration.read_text()
    machine.configuration.write_text(text.replace('"directory.ldif"', '"private/directory.ldif"'))

    assert run(machine, "install") == 2

    assert "where the service sees nothing" in capsys.readouterr().err
    assert machine.asked() == []


def test_a_state_directory_that_the_unit_does_not_open_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.with_package()
    with machine.configuration.open("a") as file:
        file.write('[agent]\nstate_dir = "/srv/rollcall"\n')

    assert run(machine, "install") == 2
    assert "ReadWritePaths=/srv/rollcall" in capsys.readouterr().err
    machine.find(ReadWritePaths="-/srv/rollcall /srv/other")
    assert run(machine, "install") == 0


def test_a_state_directory_of_another_connection_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.with_package()
    further(machine, "sales", "/var/lib/rollcall/sales")
    further(machine, "support", "/var/lib/rollcall")
    with machine.configuration.open("a") as file:
        file.write('[agent]\nstate_dir = "/var/lib/rollcall/sales"\n')

    assert [run(machine, "install", name) for name in ("agent.toml", "support.toml", "sales.toml")] == [2, 2, 2]

    told = capsys.readouterr().err.splitlines()
    assert "/var/lib/rollcall/sales is the state of" in told[0]
    assert "may write only below /var/lib/rollcall/support" in told[1]
    assert "/var/lib/rollcall/sales is the state of" in told[2]
    assert machine.asked() == []


@pytest.mark.parametrize("hidden", ["home", "srv"])
def test_a_link_to_a_file_that_the_service_could_not_see_is_refused(
    machine: Machine, capsys: pytest.CaptureFixture[str], hidden: str
) -> None:
    machine.with_package()
    for place in ("home", "srv"):
        (machine.directory / place).mkdir()
    machine.hidden = (str(machine.directory / hidden),)
    link = machine.places.settings / "directory.ldif"
    link.rename(machine.directory / "home" / "directory.ldif")
    link.symlink_to(machine.directory / "home" / "directory.ldif")

    assert run(machine, "install") == (2 if hidden == "home" else 0)
    assert ("where the service sees nothing" in capsys.readouterr().err) is (hidden == "home")


def test_the_unit_of_a_time_before_the_package_does_not_hide_that_of_the_package(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(machine, "install") == 0
    machine.with_package()
    assert run(machine, "install") == 0

    assert not (machine.places.of_administrators / "rollcall.service").exists()
    assert "is removed: the package has brought its own" in capsys.readouterr().out
    assert machine.asked()[2:] == ["daemon-reload", "enable rollcall.service"]


def test_uninstall_with_the_package_leaves_its_unit(machine: Machine) -> None:
    machine.with_package()

    assert run(machine, "uninstall") == 0
    assert machine.asked() == ["disable --now rollcall.service"]
    assert (machine.places.of_packages / "rollcall.service").exists()


@pytest.mark.parametrize(
    ("properties", "code", "words"),
    [
        (
            {
                "ActiveState": "active",
                "ActiveEnterTimestamp": "Mon 09:00:00 UTC",
                "StatusText": "last: 5 done",
            },
            0,
            ["is active, since Mon 09:00:00 UTC", "It says: last: 5 done.", "starts with the machine"],
        ),
        ({"ActiveState": "inactive"}, 2, ["is not active", "rollcall service start"]),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, 2, ["does not start with the machine"]),
        ({"ActiveState": "failed", "ExecMainStatus": "2", "Result": "exit-code"}, 2, ["has failed", "rollcall check"]),
        ({"ActiveState": "failed", "ExecMainStatus": "0", "Result": "watchdog"}, 2, ["watchdog", "journalctl --unit"]),
        ({"ActiveState": "activating", "ExecMainStatus": "1"}, 2, ["started again after a failure"]),
        ({"ActiveState": "activating", "ExecMainStatus": "75"}, 2, ["may pass", "every minute", "journalctl"]),
        ({"ActiveState": "failed", "ExecMainStatus": "203"}, 2, ["is not there, or cannot be run", "service install"]),
        ({"ActiveState": "activating", "ExecMainStatus": "243"}, 2, ["directory of its secrets", "service install"]),
        ({"LoadState": "masked"}, 2, ["systemctl unmask rollcall.service"]),
        ({"LoadState": "not-found"}, 2, ["is not installed", "rollcall service install"]),
    ],
)
def test_status_says_how_it_goes_and_what_to_do(
    machine: Machine,
    capsys: pytest.CaptureFixture[str],
    properties: dict[str, str],
    code: int,
    words: list[str],
) -> None:
    machine.find(**properties)

    assert run(machine, "status") == code
    told = capsys.readouterr().out
    assert [word for word in words if word not in told] == []


def test_start_and_stop_say_what_came_of_it(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(machine, "stop") == 0
    assert "It starts again with the machine" in capsys.readouterr().out
    machine.find(ActiveState="active")
    assert run(machine, "start") == 0
    assert "is active" in capsys.readouterr().out
    machine.find(ActiveState="failed", ExecMainStatus="2")
    machine.refuse("Job for rollcall.service failed.")
    assert run(machine, "start") == 2
    assert "rollcall check" in capsys.readouterr().out
    assert run(machine, "stop") == 2
    assert "Job for rollcall.service failed." in capsys.readouterr().err
    verbs = ("stop", "reset-failed", "start", "reset-failed", "start", "stop")
    assert machine.asked() == [f"{verb} rollcall.service" for verb in verbs]


def test_a_start_does_not_wait_for_the_one_that_is_due_after_a_failure(machine: Machine) -> None:
    machine.find(ActiveState="activating", ExecMainStatus="75")
    run(machine, "start")

    assert machine.asked() == [f"{verb} rollcall.service" for verb in ("stop", "reset-failed", "start")]


def test_a_service_that_does_not_start_with_the_machine_is_started_by_hand_alone(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.find(UnitFileState="disabled")

    assert run(machine, "stop") == 0
    assert "It starts again by rollcall service start alone." in capsys.readouterr().out


def test_a_service_without_settings_is_sent_to_init(bare: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bare, "start") == 2
    assert "rollcall init" in capsys.readouterr().out


def test_a_connection_of_several_is_an_instance(machine: Machine) -> None:
    (machine.places.settings / "partners.toml").write_text("")
    machine.service("partners.toml").stop()

    assert machine.asked() == ["stop rollcall@partners.service"]


@pytest.mark.parametrize("name", ["my team", "büro", "100%", "a/../b"])
def test_a_name_that_systemd_wants_written_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UsageProblem, match="letters from A to Z"):
        service_manager(Path(f"/etc/rollcall/{name}.toml"))


def test_a_configuration_that_no_unit_reads_is_refused() -> None:
    with pytest.raises(UsageProblem, match=r"The service reads /etc/rollcall/agent\.toml, or .* not /srv/agent\.toml"):
        service_manager(Path("/srv/agent.toml"))


def test_who_is_not_root_is_told_so(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    for verb in ("install", "uninstall", "start", "stop"):
        assert run(machine, verb) == 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("Only root may change services") == 4
    assert machine.asked() == []
    machine.find(ActiveState="active")
    assert run(machine, "status") == 0


def test_a_machine_without_systemd_is_told_so(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.places.running.rmdir()

    for verb in ("install", "uninstall", "start", "stop", "status"):
        assert run(machine, verb) == 2
    told = capsys.readouterr()
    assert machine.asked() == []
    assert (told.out + told.err).count("does not run systemd") == 5
