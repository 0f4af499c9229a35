"""What `rollcall service` says of one connection among several is about that one."""

from __future__ import annotations

import pytest

from tests.service.on_linux.machine import Machine, further, run

SALES = "sales.toml"


@pytest.fixture
def two(machine: Machine) -> Machine:
    """The package is installed, and there are two connections."""
    machine.with_package()
    further(machine, "sales", "/var/lib/rollcall/sales")
    return machine


@pytest.mark.parametrize(
    ("verb", "properties", "command"),
    [
        ("install", {}, "service start"),
        ("status", {"ActiveState": "inactive"}, "service start"),
        ("status", {"ActiveState": "active", "UnitFileState": "disabled"}, "service install"),
        ("status", {"ActiveState": "failed", "ExecMainStatus": "2"}, "check"),
        ("status", {"ActiveState": "failed", "ExecMainStatus": "75"}, "check"),
        ("status", {"ActiveState": "failed", "ExecMainStatus": "203"}, "service uninstall"),
        ("status", {"ActiveState": "failed", "ExecMainStatus": "243"}, "secret NAME"),
        ("status", {"LoadState": "masked"}, "service install"),
        ("status", {"LoadState": "not-found"}, "service install"),
        ("start", {"LoadState": "not-found"}, "service install"),
        ("stop", {"UnitFileState": "disabled"}, "service start"),
    ],
)
def test_a_command_that_is_named_is_about_the_same_connection(
    two: Machine, capsys: pytest.CaptureFixture[str], verb: str, properties: dict[str, str], command: str
) -> None:
    two.find(**properties)

    run(two, verb, SALES)
    told = capsys.readouterr()
    run(two, verb)
    of_the_first = capsys.readouterr()

    assert f"rollcall {command} --config {two.places.settings / SALES}" in told.out + told.err
    assert f"rollcall {command}" in of_the_first.out + of_the_first.err
    assert "--config" not in of_the_first.out + of_the_first.err


def test_what_may_be_removed_after_an_uninstallation_is_of_this_connection_alone(
    two: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    (two.places.settings / "sales.credentials.encrypted").mkdir()

    assert run(two, "uninstall", SALES) == 0
    told = capsys.readouterr().out
    assert run(two, "uninstall") == 0
    of_the_first = capsys.readouterr().out

    for path in ("sales.toml", "sales.credentials", "sales.credentials.encrypted"):
        assert f" {two.places.settings / path}," in told
    for name in ("rollcall.sqlite3*", "rollcall.lock", "audit*.jsonl"):
        assert f"/var/lib/rollcall/sales/{name}" in told
        assert f" /var/lib/rollcall/{name}" in of_the_first
    assert f" {two.places.settings / 'agent.toml'}," in of_the_first
    for shared in (two.places.settings, "/var/lib/rollcall"):
        assert [word for word in of_the_first.split() if word.strip(".,") == str(shared)] == []


def test_a_state_elsewhere_is_named_where_it_is(two: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with two.configuration.open("a") as file:
        file.write('[agent]\nstate_dir = "/srv/rollcall"\n')

    assert run(two, "uninstall") == 0

    assert " /srv/rollcall/rollcall.sqlite3*" in capsys.readouterr().out


def test_what_the_service_says_ends_with_one_full_stop(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.find(ActiveState="active", StatusText="the last cycle could not run: The disk is full.")

    assert run(machine, "status") == 0

    assert "It says: the last cycle could not run: The disk is full.\n" in capsys.readouterr().out


def test_what_systemctl_says_ends_with_one_full_stop(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.refuse("Job for rollcall.service failed.")

    assert run(machine, "stop") == 2

    assert "failed. See journalctl" in capsys.readouterr().err


def test_a_damaged_state_and_a_secret_of_another_machine_are_among_the_causes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.find(ActiveState="activating", ExecMainStatus="75")
    run(machine, "status")
    later = capsys.readouterr().out
    machine.find(ActiveState="activating", ExecMainStatus="243")
    run(machine, "status")
    credentials = capsys.readouterr().out

    assert "may pass" in later
    assert "or the state is damaged: rollcall check tells" in later
    assert "rollcall service install makes it" in credentials
    assert "encrypted secret was made on another machine" in credentials
    assert "rollcall secret NAME" in credentials
    assert "journalctl --unit rollcall.service" in credentials
