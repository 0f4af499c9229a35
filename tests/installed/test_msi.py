"""The tables of the MSI: what Windows Installer goes by, and Wine mostly does not look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.installed.parts import Installers, installers


@pytest.fixture(scope="module")
def built() -> Installers:
    return installers()


def table(package: Path, name: str) -> list[list[str]]:
    """Return the rows of a table; the first three lines describe it."""
    done = subprocess.run(["msiinfo", "export", str(package), name], capture_output=True, check=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()[3:]]


def properties(package: Path) -> dict[str, str]:
    return dict(row for row in table(package, "Property"))


def test_an_upgrade_is_one_of_the_same_product_with_components_of_its_own(built: Installers) -> None:
    newer, older = properties(built.msi), properties(built.older)
    components, former = ({row[1] for row in table(package, "Component")} for package in (built.msi, built.older))

    assert newer["UpgradeCode"] == older["UpgradeCode"]
    assert newer["ProductCode"] != older["ProductCode"]
    # Of one component, what is there with a version would be taken for newer than ours and then be removed.
    assert components & former == set()
    assert len(components) == len(table(built.msi, "Component")) > 2000
    assert newer["REINSTALLMODE"] == "amus"


def test_guide_example_and_files_for_prometheus_are_in_it(built: Installers) -> None:
    files = {row[2].split("|")[-1] for row in table(built.msi, "File")}

    assert {"guard.md", "agent.example.toml", "rollcall.rules.yml", "rollcall.dashboard.json"} <= files


def test_no_machine_is_started_anew_by_a_silent_installation(built: Installers) -> None:
    found = properties(built.msi)

    assert found["REBOOT"] == "ReallySuppress"
    assert found["MSIRESTARTMANAGERCONTROL"] == "Disable"
    assert "REMOVESTATE" in found["SecureCustomProperties"].split(";")


def test_what_it_does_with_services_is_done_as_system_without_a_window_and_in_order(built: Installers) -> None:
    files = {row[0]: row[2].split("|")[-1] for row in table(built.msi, "File")}
    actions = {row[0]: (int(row[1]), files[row[2]], row[3].split()[-1]) for row in table(built.msi, "CustomAction")}
    sequence = {row[0]: (row[1], int(row[2])) for row in table(built.msi, "InstallExecuteSequence")}
    script, no_impersonation, rollback = 0x400, 0x800, 0x100

    assert {file for _, file, _ in actions.values()} == {"pythonw.exe"}
    assert all(kind & script and kind & no_impersonation for kind, _, _ in actions.values())
    at = {name: number for name, (_, number) in sequence.items()}
    assert all(at["InstallInitialize"] < at[name] < at["InstallFinalize"] for name in actions)
    forward = sorted((at[name], verb) for name, (kind, _, verb) in actions.items() if not kind & rollback)
    assert [verb for _, verb in forward] == ["stop", "remove", "purge", "prepare", "start"]
    backward = sorted((at[name], verb) for name, (kind, _, verb) in actions.items() if kind & rollback)
    assert [verb for _, verb in backward] == ["start", "prepare", "remove"]
    before_files = {verb for number, verb in forward if number < at["RemoveFiles"]}
    assert before_files == {"stop", "remove", "purge"}
    assert at["Stop1503"] < at["RemoveExistingProducts"] < at["ProcessComponents"]
    for name, (_, _, verb) in actions.items():
        if verb in {"remove", "purge"} and not actions[name][0] & rollback:
            assert "NOT UPGRADINGPRODUCTCODE" in sequence[name][0]


def test_it_brings_its_python_and_what_that_imports(built: Installers) -> None:
    names = {row[2].split("|")[-1] for row in table(built.msi, "File")}

    assert {"python.exe", "pythonw.exe", "python311.dll", "pywintypes311.dll", "servicemanager.pyd", "host.py"} <= names
    assert [name for name in names if name.endswith((".pth", "pythonservice.exe"))] == []
