"""The packages themselves: what is in them, and that they are the same whenever they are built."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.installed.container import Container
from tests.installed.parts import OLDER, ROOT, build, debian, packages


def test_two_builds_of_one_commit_are_the_same_bit_by_bit(tmp_path: Path) -> None:
    one = packages()
    build(tmp_path)

    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert sorted(again) == sorted([one.deb.name, one.rpm.name])
    assert [path.name for path in (one.deb, one.rpm) if path.read_bytes() != again[path.name]] == []


def test_deb_and_rpm_carry_the_same_files() -> None:
    built = packages()
    deb = subprocess.run(["dpkg-deb", "--contents", str(built.deb)], capture_output=True, check=True, text=True).stdout
    rpm = subprocess.run(
        ["rpm", "--query", "--list", "--package", str(built.rpm)], capture_output=True, check=True, text=True
    ).stdout

    in_deb = {line.split()[-1].lstrip(".") for line in deb.splitlines() if not line.startswith("d")}
    in_rpm = set(rpm.split())

    assert in_deb - in_rpm == set()
    assert "/usr/lib/systemd/system/rollcall@.service" in in_deb
    assert "/usr/share/doc/rollcall/guide/keeping.md" in in_deb
    assert [name for name in in_deb if name.startswith("/opt/") and name.endswith("keeping.md")] == []
    assert [name for name in in_deb if name.endswith((".pyc", "/direct_url.json"))] == []


def test_the_wheel_brings_the_documents_that_the_packages_bring(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    deb = subprocess.run(
        ["dpkg-deb", "--contents", str(packages().deb)], capture_output=True, check=True, text=True
    ).stdout
    documents = re.findall(r" \./usr/(share/doc/rollcall/\S*[^/\s])$", deb, re.MULTILINE)
    (wheel,) = tmp_path.glob("rollcall_agent-*.whl")

    brought = [name.partition(".data/data/")[2] for name in zipfile.ZipFile(wheel).namelist()]

    assert {"share/doc/rollcall/agent.example.toml", "share/doc/rollcall/guide/keeping.md"} <= set(documents)
    assert {name for name in documents if not name.endswith("/copyright")} == {name for name in brought if name}


def test_the_unpacked_rpm_runs_and_its_units_are_sound(tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    with Container(debian(), tmp_path / "container") as container:
        container.write("/var/tmp/rollcall.rpm", packages().rpm.read_bytes())

        container.run("sh", "-c", "cd / && rpm2cpio /var/tmp/rollcall.rpm | cpio --extract --make-directories --quiet")
        container.run("systemd-sysusers", "/usr/lib/sysusers.d/rollcall.conf")
        container.run("systemctl", "daemon-reload")

        assert re.fullmatch(r"rollcall \d+\.\d+\.\d+", container.run("rollcall", "--version").strip())
        for unit in ("rollcall.service", "rollcall@.service"):
            assert container.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}") == ""
        scripts = container.run("rpm", "--query", "--scripts", "--package", "/var/tmp/rollcall.rpm")
        assert "systemd-sysusers" in scripts
        assert "systemctl try-restart" in scripts


def test_the_two_units_differ_in_the_names_of_the_instance_only() -> None:
    directory = Path(__file__).parents[2] / "packaging" / "systemd"
    single, instance = (
        (directory / name).read_text(encoding="utf-8").splitlines()
        for name in ("rollcall.service", "rollcall@.service")
    )

    assert len(single) == len(instance)
    assert [
        (one, other) for one, other in zip(single, instance, strict=True) if one != other and "%i" not in other
    ] == [
        (
            "# Without settings there is nothing to do: rollcall init writes them.",
            "# One instance for each connection: NAME.toml, with its state in /var/lib/rollcall/NAME.",
        )
    ]


def test_an_older_rpm_is_refused_and_an_upgrade_keeps_what_was_compiled(tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    built = packages()
    with Container(debian(), tmp_path / "container") as container:
        container.write("/var/tmp/older.rpm", built.older_rpm.read_bytes())
        container.write("/var/tmp/newer.rpm", built.rpm.read_bytes())
        compiled = ("sh", "-c", "find /opt/rollcall -name '*.pyc' | wc -l")
        container.run("rpm", "--install", "--nodeps", "/var/tmp/older.rpm")
        before = int(container.run(*compiled))

        container.run("rpm", "--upgrade", "--nodeps", "/var/tmp/newer.rpm")

        assert int(container.run(*compiled)) == before > 500
        refused = container.run("rpm", "--upgrade", "--nodeps", "--oldpackage", "/var/tmp/older.rpm", check=False)
        assert f"{OLDER} is older" in refused
        assert OLDER not in container.run("rollcall", "--version")
        container.run("rpm", "--erase", "rollcall")
        for directory in ("/opt/rollcall", "/usr/share/doc/rollcall"):
            assert container.code_of("test", "-e", directory) == 1
