"""The deb, installed below a real systemd: from the first installation to the purge."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.guide import block_of
from tests.installed.container import Container
from tests.installed.parts import OLDER, Packages, debian, packages
from tests.ldif_text import group, people, uids
from tests.servers.openldap import READER_DN, READER_PASSWORD, SUFFIX, OpenLdap
from tests.servers.scim_service import Fault, ScimService

UNIT = "rollcall.service"
_WANTS = "/etc/systemd/system/multi-user.target.wants"
SECRETS = (READER_PASSWORD, ScimService.token)
_HOLD = """
import fcntl, time
lock = open("/var/lib/rollcall/rollcall.lock", "a+b")
fcntl.flock(lock, fcntl.LOCK_EX)
open("/run/held", "w").close()
time.sleep(600)
"""
_GET = "import sys, urllib.request as r; print(r.urlopen(f'http://127.0.0.1:9464/{sys.argv[1]}').read().decode())"


@pytest.fixture(scope="module")
def built() -> Packages:
    return packages()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    directory = tmp_path / "container"
    directory.mkdir()
    with Container(debian(), directory) as booted:
        yield booted


@pytest.fixture
def inside(container: Container) -> Iterator[None]:
    """The servers that a test starts are on the container's loopback."""
    with container.network():
        yield


@pytest.fixture
def service(container: Container, inside: None, scim: ScimService) -> ScimService:
    del container, inside
    return scim


@pytest.fixture
def directory(inside: None, openldap: OpenLdap) -> OpenLdap:
    del inside
    openldap.load(people(5) + group("app-a", *uids(5)))
    openldap.start()
    return openldap


def install(container: Container, package: Path) -> str:
    container.write("/var/tmp/rollcall.deb", package.read_bytes())
    return container.run("dpkg", "--install", "/var/tmp/rollcall.deb")


def configure(container: Container, directory: OpenLdap, service: ScimService, **schedule: str) -> None:
    every = schedule.get("every", "1s")
    container.write("/etc/rollcall/ca.pem", directory.certificates.authority.read_bytes())
    container.write("/etc/rollcall/credentials/corp.bind_password", READER_PASSWORD, 0o600)
    container.write("/etc/rollcall/credentials/upstream.token", service.token, 0o600)
    container.write(
        "/etc/rollcall/agent.toml",
        f"""
[[sources]]
name = "corp"
connector = "ldap"
urls = ["{directory.url}"]
base_dn = "{SUFFIX}"
bind_dn = "{READER_DN}"
ca_file = "/etc/rollcall/ca.pem"
[upstream]
url = "{service.url}"
[scope]
groups = ["name:app-*"]
[external]
managed_domains = ["example.com"]
[schedule]
every = "{every}"
""",
    )


def add(directory: OpenLdap, entry: str) -> None:
    dn, rest = entry.split("\n", 1)
    # The server itself gives out the UUIDs of what is added while it runs.
    lines = [line for line in rest.splitlines() if not line.startswith("entryUUID:")]
    directory.modify("\n".join([dn, "changetype: add", *lines]))


def soon_again(container: Container) -> None:
    """Have the service started a second after a failure, and not a minute."""
    container.run("mkdir", "-p", f"/etc/systemd/system/{UNIT}.d")
    container.write(f"/etc/systemd/system/{UNIT}.d/test.conf", "[Service]\nRestartSec=1s\n")
    container.run("systemctl", "daemon-reload")


def is_active(container: Container) -> bool:
    return container.property_of(UNIT, "ActiveState") == "active"


def main_process(container: Container) -> int:
    return int(container.property_of(UNIT, "MainPID"))


def test_installed_configured_and_started_it_does_its_work_and_no_more(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    assert "rollcall init" in install(container, built.deb)
    assert container.property_of(UNIT, "ActiveState") == "inactive"
    configure(container, directory, service)

    container.run("systemctl", "enable", "--now", UNIT)

    wait_for(lambda: service.membership().get("app-a") == {f"{uid}@example.com" for uid in uids(5)})
    wait_for(lambda: "exit code 0" in container.property_of(UNIT, "StatusText"))
    status = Path(f"/proc/{main_process(container)}/status")
    about = container.run("cat", str(status))
    account = int(container.run("id", "--user", "rollcall"))
    assert account > 0
    assert re.search(r"^Uid:\s+(\d+)", about, re.MULTILINE)[1] == str(account)
    assert re.search(r"^CapEff:\s+0+$", about, re.MULTILINE)
    assert container.run("stat", "--format=%U %a", "/var/lib/rollcall").split() == ["rollcall", "700"]
    exposure = container.run("systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT)
    assert float(re.search(r"exposure level for rollcall.service: ([\d.]+)", exposure)[1]) < 1.5
    assert container.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{UNIT}") == ""


def test_no_secret_is_seen_from_outside(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    soon_again(container)
    container.run("systemctl", "start", UNIT)
    wait_for(lambda: len(service.active()) == 5)
    process = main_process(container)

    seen = [
        container.run("ps", "axeww"),
        container.run("cat", f"/proc/{process}/environ"),
        container.journal(UNIT),
        container.run("sh", "-c", "cat /var/lib/rollcall/*"),
        container.run("systemctl", "show", UNIT),
        container.run("systemctl", "status", "--no-pager", UNIT),
        *(container.run("python3", "-c", _GET, path) for path in ("healthz", "readyz", "metrics")),
        container.run("rollcall", "check", "--verbose"),
        container.run("rollcall", "status", "--json"),
        container.run("rollcall", "audit", "--json"),
    ]
    assert "rollcall_cycles_total{" in seen[8]
    # A crash: what the process, systemd and the kernel say of it.
    container.run("systemctl", "kill", "--signal=SIGABRT", "--kill-who=main", UNIT)
    wait_for(lambda: main_process(container) not in {0, process})
    seen += [
        container.run("journalctl", "--no-pager", "--output", "export"),
        *(container.run("cat", f"/proc/{main_process(container)}/{what}") for what in ("environ", "cmdline")),
    ]

    assert [secret for text in seen for secret in SECRETS if secret in text] == []
    cores = "find /var /tmp /run -xdev -name 'core*' -type f -newer /etc/rollcall/agent.toml"
    assert container.run("sh", "-c", cores) == ""
    assert re.search(r"Max core file size\s+0\s+0", container.run("cat", f"/proc/{main_process(container)}/limits"))


def test_a_reload_brings_new_settings_without_a_restart(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    container.run("systemctl", "start", UNIT)
    wait_for(lambda: len(service.active()) == 5)
    process = main_process(container)
    add(directory, group("other-b", *uids(2)))
    settings = container.run("cat", "/etc/rollcall/agent.toml")
    container.write("/etc/rollcall/agent.toml", settings.replace('"name:app-*"', '"name:app-*", "name:other-*"'))

    container.run("systemctl", "reload", UNIT)

    wait_for(lambda: "other-b" in service.membership())
    assert main_process(container) == process
    container.write("/etc/rollcall/agent.toml", settings.replace("[scope]", "[skope]"))
    container.run("systemctl", "reload", UNIT)
    wait_for(lambda: "the old ones stay in force" in container.journal(UNIT))
    assert is_active(container)
    assert main_process(container) == process


def test_who_is_killed_or_hangs_is_started_again_and_goes_on(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    container.run("mkdir", "-p", f"/etc/systemd/system/{UNIT}.d")
    container.write(
        f"/etc/systemd/system/{UNIT}.d/test.conf", "[Service]\nWatchdogSec=4s\nRestartSec=100ms\nTimeoutAbortSec=2s\n"
    )
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "start", UNIT)
    wait_for(lambda: len(service.active()) == 5)

    killed = main_process(container)
    container.run("systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", UNIT)
    wait_for(lambda: main_process(container) not in {0, killed})
    add(directory, group("app-b", *uids(2)))
    wait_for(lambda: "app-b" in service.membership())

    # A service that answers so slowly that no time limit strikes: the cycle never ends, and does not go forward.
    hung = main_process(container)
    service.faults.append(Fault(lambda _request: True, times=1, delay=3600))
    add(directory, group("app-c", *uids(3)))
    wait_for(lambda: main_process(container) not in {0, hung}, seconds=60)
    wait_for(lambda: "app-c" in service.membership())
    assert "Watchdog timeout" in container.run("journalctl", "--unit", UNIT, "--no-pager")


def type_in(container: Container, heading: str, before: str = "", **instead: str) -> None:
    """Run a block of the guide as root; with `instead`, words of it are others here."""
    commands = block_of("keeping.md", heading, "sh", before)
    for told, here in {"apt ": "apt-get --yes ", **instead}.items():
        commands = commands.replace(told, here)
    container.run("sh", "-e", "-c", f"cd /var/tmp\n{commands}")


def test_an_upgrade_keeps_the_state_and_a_downgrade_is_refused_but_on_the_way_that_the_guide_tells(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.older_deb)
    configure(container, directory, service)
    container.run("systemctl", "enable", "--now", UNIT)
    wait_for(lambda: len(service.active()) == 5)
    type_in(container, "Back-up")
    before = main_process(container)
    accounts = set(service.users)

    install(container, built.deb)

    wait_for(lambda: main_process(container) not in {0, before})
    assert container.run("rollcall", "--version").strip() != f"rollcall {OLDER}"
    add(directory, group("app-b", *uids(2)))
    wait_for(lambda: "app-b" in service.membership())
    assert set(service.users) == accounts
    container.write("/var/tmp/older.deb", built.older_deb.read_bytes())
    refused = container.run("dpkg", "--install", "/var/tmp/older.deb", check=False)
    assert "rollcall: version" in refused
    assert f"{OLDER} is older" in refused
    assert is_active(container)

    type_in(
        container, "Restore the state", "first connection", **{"rollcall plan\n": "", "rollcall service start\n": ""}
    )
    type_in(container, "Back to an older version", "Second", **{"rollcall_OLD_amd64.deb": "older.deb"})
    type_in(container, "Back to an older version", "Third")

    assert container.run("dpkg-query", "--show", "--showformat=${Version}", "rollcall") == OLDER
    add(directory, group("app-c", *uids(3)))
    wait_for(lambda: "app-c" in service.membership())
    assert service.membership()["app-b"] == {f"{uid}@example.com" for uid in uids(2)}
    assert set(service.users) == accounts
    owners = container.run("sh", "-c", "stat --format=%U /var/lib/rollcall/rollcall*")
    assert set(owners.split()) == {"rollcall"}
    assert is_active(container)


def test_a_passing_trouble_at_the_start_is_overcome_and_wrong_settings_are_not_tried_again(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    soon_again(container)
    container.run("rollcall", "sync")
    container.write("/var/tmp/hold.py", _HOLD)
    container.run("systemd-run", "--unit=holder", "python3", "/var/tmp/hold.py")
    wait_for(lambda: container.code_of("test", "-e", "/run/held") == 0)

    container.run("systemctl", "start", "--no-block", UNIT)
    wait_for(lambda: int(container.property_of(UNIT, "NRestarts")) > 0)
    container.run("systemctl", "stop", "holder")

    wait_for(lambda: is_active(container))
    settings = container.run("cat", "/etc/rollcall/agent.toml")
    container.write("/etc/rollcall/agent.toml", settings.replace("[scope]", "[skope]"))
    container.code_of("systemctl", "restart", UNIT)
    wait_for(lambda: container.property_of(UNIT, "ActiveState") == "failed")
    assert container.property_of(UNIT, "ExecMainStatus") == "2"


def test_install_refuses_what_the_service_could_not_see_or_write(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    """Files where the service sees nothing, and a place where it may not write, are refused before it fails there."""
    install(container, built.deb)
    configure(container, directory, service)
    settings = container.run("cat", "/etc/rollcall/agent.toml")
    container.run("cp", "/etc/rollcall/ca.pem", "/tmp/ca.pem")
    container.write("/etc/rollcall/agent.toml", settings.replace("/etc/rollcall/ca.pem", "/tmp/ca.pem"))
    assert "below /tmp" in container.run("rollcall", "service", "install", check=False)
    container.write("/etc/rollcall/agent.toml", settings + '[agent]\nstate_dir = "/srv/rollcall"\n')
    assert "ReadWritePaths" in container.run("rollcall", "service", "install", check=False)

    container.run("mkdir", "/srv/rollcall")
    container.run("chown", "rollcall:rollcall", "/srv/rollcall")
    container.run("mkdir", "-p", f"/etc/systemd/system/{UNIT}.d")
    container.write(f"/etc/systemd/system/{UNIT}.d/place.conf", "[Service]\nReadWritePaths=/srv/rollcall\n")
    container.run("systemctl", "daemon-reload")
    container.run("rollcall", "service", "install")
    container.run("rollcall", "service", "start")

    wait_for(lambda: len(service.active()) == 5)
    for _ in range(6):  # systemd would count these, and refuse one more
        container.run("rollcall", "service", "stop")
        assert "is active" in container.run("rollcall", "service", "start")


def test_it_stops_within_ten_seconds_in_the_middle_of_a_push(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    service.faults.append(Fault(lambda request: request.method == "POST", times=1000, delay=1.0))
    container.run("systemctl", "start", UNIT)
    wait_for(lambda: len(service.writes()) >= 1)

    began = time.monotonic()
    container.run("systemctl", "stop", UNIT)

    assert time.monotonic() - began < 10
    assert container.property_of(UNIT, "Result") == "success"
    service.faults.clear()
    container.run("systemctl", "start", UNIT)
    wait_for(lambda: service.membership().get("app-a") == {f"{uid}@example.com" for uid in uids(5)})
    assert len(service.users) == 5


def test_removed_it_leaves_settings_and_state_and_purged_nothing(
    container: Container, built: Packages, directory: OpenLdap, service: ScimService
) -> None:
    install(container, built.deb)
    configure(container, directory, service)
    container.run("systemctl", "enable", "--now", UNIT)
    wait_for(lambda: len(service.active()) == 5)

    container.run("ln", "--symbolic", "/usr/lib/systemd/system/rollcall@.service", f"{_WANTS}/rollcall@sales.service")

    container.run("dpkg", "--remove", "rollcall")

    assert container.code_of("test", "-L", f"{_WANTS}/rollcall@sales.service") != 0

    assert container.property_of(UNIT, "ActiveState") == "inactive"
    assert container.code_of("test", "-e", "/etc/rollcall/agent.toml") == 0
    assert container.code_of("test", "-e", "/var/lib/rollcall/rollcall.sqlite3") == 0
    container.run("dpkg", "--purge", "rollcall")
    left = container.run("sh", "-c", "ls -d /etc/rollcall /var/lib/rollcall /opt/rollcall 2>/dev/null || true")
    assert left == ""
    assert container.code_of("id", "rollcall") != 0
    assert len(service.active()) == 5
