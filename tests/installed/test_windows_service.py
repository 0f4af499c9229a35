"""The MSI and the service it brings, with a real Windows Python below Wine: from the installation to the removal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.installed.parts import OLDER, installers
from tests.installed.wine import HOME, PROGRAM, PYTHON, Wine, prepared, wait_until, with_rollcall
from tests.ldif_text import group, people, uids
from tests.servers.openldap import READER_DN, READER_PASSWORD, SUFFIX, OpenLdap
from tests.servers.scim_service import Fault, ScimService

SERVICE = "Rollcall"
SECRETS = (READER_PASSWORD, ScimService.token)
LOG = HOME / "logs" / "rollcall.log"
# ERROR_SERVICE_SPECIFIC_ERROR of winerror.h
SERVICE_SPECIFIC = 1066
EVERYBODY = {f"{uid}@example.com" for uid in uids(5)}


@pytest.fixture
def wine(tmp_path: Path) -> Iterator[Wine]:
    """A Windows on which the MSI has been installed."""
    with Wine(tmp_path / "prefix", with_rollcall()) as running:
        yield running


@pytest.fixture
def directory(openldap: OpenLdap) -> OpenLdap:
    openldap.load(people(5) + group("app-a", *uids(5)))
    openldap.start()
    return openldap


def configure(wine: Wine, directory: OpenLdap, service: ScimService) -> None:
    wine.write(HOME / "ca.pem", directory.certificates.authority.read_bytes())
    wine.write(
        HOME / "agent.toml",
        f"""
[[sources]]
name = "corp"
connector = "ldap"
urls = ["{directory.url}"]
base_dn = "{SUFFIX}"
bind_dn = "{READER_DN}"
ca_file = '{HOME / "ca.pem"}'
[upstream]
url = "{service.url}"
[scope]
groups = ["name:app-*"]
[external]
managed_domains = ["example.com"]
[schedule]
every = "1s"
""",
    )
    wine.rollcall("secret", "corp.bind_password", text=READER_PASSWORD)
    wine.rollcall("secret", "upstream.token", text=service.token)


def add(directory: OpenLdap, entry: str) -> None:
    dn, rest = entry.split("\n", 1)
    # The server itself gives out the UUIDs of what is added while it runs.
    lines = [line for line in rest.splitlines() if not line.startswith("entryUUID:")]
    directory.modify("\n".join([dn, "changetype: add", *lines]))


def wait_for(wine: Wine, reached: Callable[[], bool]) -> None:
    log = wine.path(LOG)
    wait_until(reached, 60, lambda: log.read_text(errors="replace") if log.exists() else "no log")


def test_the_msi_registers_the_service_and_starts_nothing(wine: Wine) -> None:
    entry = wine.python(
        "import win32service as w; m = w.OpenSCManager(None, None, 1); s = w.OpenService(m, 'Rollcall', 5);"
        "c = w.QueryServiceConfig(s); print(c[1], c[3], c[7], sep='|'); "
        "print(w.QueryServiceConfig2(s, w.SERVICE_CONFIG_DESCRIPTION))"
    )

    command = rf'"{PYTHON}" -I -B -m agent.service.windows.host "{HOME / "agent.toml"}"'
    assert entry.splitlines() == [
        rf"3|{command}|NT SERVICE\Rollcall",
        "Keeps a SCIM service equal to the groups of a directory, every member included.",
    ]
    assert wine.state_of(SERVICE) == "STOPPED"
    assert re.fullmatch(r"rollcall \d+\.\d+\.\d+", wine.rollcall("--version").strip())
    path = wine.python(
        "import winreg; k = winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, "
        "r'SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment'); print(winreg.QueryValueEx(k, 'PATH')[0])"
    )
    assert str(PROGRAM / "bin") in path
    assert {place.name for place in wine.path(HOME).iterdir()} == {"credentials", "logs", "state"}


def test_configured_and_started_it_does_its_work(wine: Wine, directory: OpenLdap, scim: ScimService) -> None:
    configure(wine, directory, scim)
    # The arrow is in no code page of Western Europe.
    assert "→ Set webhook_url_file" in wine.rollcall("check")

    installed = wine.rollcall("service", "install")
    assert "It does not run yet" in installed
    assert "is running" in wine.rollcall("service", "start")

    wait_for(wine, lambda: scim.membership().get("app-a") == EVERYBODY)
    assert "It starts with the machine" in wine.rollcall("service", "status")
    assert "done; 7 writes" in wine.rollcall("status")
    assert "is stopped" in wine.rollcall("service", "stop")
    assert wine.state_of(SERVICE) == "STOPPED"
    assert wine.exit_codes_of(SERVICE) == [0, 0]


def test_no_secret_is_seen_from_outside(wine: Wine, directory: OpenLdap, scim: ScimService) -> None:
    configure(wine, directory, scim)
    wine.rollcall("service", "install")
    wine.rollcall("service", "start")
    wait_for(wine, lambda: len(scim.active()) == 5)
    wine.rollcall("service", "stop")
    wine.shut_down()

    files = [path for path in wine.path(HOME).rglob("*") if path.is_file()]
    files += [wine.path(HOME).parents[2] / name for name in ("system.reg", "user.reg")]

    assert len(files) > 8
    assert [path for path in files for secret in SECRETS if secret.encode() in path.read_bytes()] == []


def test_new_settings_are_taken_over_by_paramchange(wine: Wine, directory: OpenLdap, scim: ScimService) -> None:
    configure(wine, directory, scim)
    wine.rollcall("service", "install")
    wine.rollcall("service", "start")
    wait_for(wine, lambda: len(scim.active()) == 5)
    add(directory, group("other-b", *uids(2)))
    file = wine.path(HOME / "agent.toml")
    settings = file.read_text()
    file.write_text(settings.replace('"name:app-*"', '"name:app-*", "name:other-*"'))
    reload = "import win32serviceutil as w; w.ControlService('Rollcall', 6)"

    wine.python(reload)

    wait_for(wine, lambda: "other-b" in scim.membership())
    file.write_text(settings.replace("[scope]", "[skope]"))
    wine.python(reload)
    wait_for(wine, lambda: "the old ones stay in force" in wine.path(LOG).read_text())
    assert wine.state_of(SERVICE) == "RUNNING"


def test_it_stops_cleanly_in_the_middle_of_a_push_and_goes_on(
    wine: Wine, directory: OpenLdap, scim: ScimService
) -> None:
    configure(wine, directory, scim)
    wine.rollcall("service", "install")
    scim.faults.append(Fault(lambda request: request.method == "POST", times=1000, delay=1.0))
    wine.rollcall("service", "start")
    wait_for(wine, lambda: len(scim.writes()) >= 1)

    began = time.monotonic()
    wine.run("net", "stop", SERVICE)
    wine.wait_for_state(SERVICE, "STOPPED")

    assert time.monotonic() - began < 10
    assert wine.exit_codes_of(SERVICE) == [0, 0]
    assert '"stopped"' in wine.path(LOG).read_text().splitlines()[-1]
    scim.faults.clear()
    wine.run("net", "start", SERVICE)
    wait_for(wine, lambda: scim.membership().get("app-a") == EVERYBODY)
    assert len(scim.users) == 5


def test_a_defect_ends_it_as_a_crash_and_wrong_settings_do_not(
    wine: Wine, directory: OpenLdap, scim: ScimService
) -> None:
    configure(wine, directory, scim)
    file = wine.path(HOME / "agent.toml")
    settings = file.read_text()
    file.write_text(settings.replace("[scope]", "[skope]"))
    wine.rollcall("service", "start", code=2)
    wine.wait_for_state(SERVICE, "STOPPED")
    # It has reported that it stops, so that Windows does not start it again and again.
    assert wine.exit_codes_of(SERVICE) == [SERVICE_SPECIFIC, 2]
    assert "skope" in wine.path(LOG).read_text()
    assert "rollcall check tells why" in wine.rollcall("service", "status", code=2)

    file.write_text(settings)
    served = wine.path(PROGRAM / "lib" / "agent" / "service" / "windows" / "served.py")
    for compiled in served.parent.glob("__pycache__/served.*"):
        compiled.unlink()  # it is not compared with its source
    served.write_text("import time\ndef serve(*_):\n    time.sleep(3)\n    raise RuntimeError('a defect')\n")
    code = wine.python(_CODE_OF_A_SERVICE_THAT_ENDS)

    # It has ended without reporting that it stops: what Windows, other than Wine, takes for a failure.
    assert code.split() == ["1"]
    assert wine.state_of(SERVICE) == "START_PENDING"


_CODE_OF_A_SERVICE_THAT_ENDS = """
import win32api, win32con, win32event, win32process, win32service, win32serviceutil
win32serviceutil.StartService("Rollcall")
manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
service = win32service.OpenService(manager, "Rollcall", win32service.SERVICE_QUERY_STATUS)
identifier = win32service.QueryServiceStatusEx(service)["ProcessId"]
process = win32api.OpenProcess(win32con.SYNCHRONIZE | win32con.PROCESS_QUERY_INFORMATION, False, identifier)
win32event.WaitForSingleObject(process, 30_000)
print(win32process.GetExitCodeProcess(process))
"""


def test_an_upgrade_keeps_everything_and_goes_on_and_a_downgrade_is_refused(
    tmp_path: Path, directory: OpenLdap, scim: ScimService
) -> None:
    with Wine(tmp_path / "older", prepared()) as wine:
        wine.msi("/i", str(installers().older))
        assert wine.rollcall("--version") != ""
        configure(wine, directory, scim)
        wine.rollcall("service", "install", "--account", "CORP\\rollcall$")
        wine.rollcall("service", "start")
        wait_for(wine, lambda: len(scim.active()) == 5)
        accounts = set(scim.users)

        wine.msi("/i", str(installers().msi))

        add(directory, group("app-b", *uids(2)))
        wait_for(wine, lambda: "app-b" in scim.membership())
        assert set(scim.users) == accounts
        assert "It starts with the machine" in wine.rollcall("service", "status")
        assert "as the account CORP\\rollcall$" in wine.rollcall("service", "install")
        wine.msi("/i", str(installers().older), code=None)
        assert wine.products() == [installers().version]
        assert OLDER not in wine.products()
        assert wine.state_of(SERVICE) == "RUNNING"


def test_uninstalled_it_leaves_settings_and_state_unless_told_otherwise(
    wine: Wine, directory: OpenLdap, scim: ScimService
) -> None:
    configure(wine, directory, scim)
    wine.rollcall("service", "install")
    wine.rollcall("service", "start")
    wait_for(wine, lambda: len(scim.active()) == 5)

    wine.msi("/x", str(installers().msi))

    assert wine.state_of(SERVICE) == ""
    assert not wine.path(PROGRAM / "python" / "python.exe").exists()
    assert wine.path(HOME / "agent.toml").exists()
    assert wine.path(HOME / "state" / "rollcall.sqlite3").exists()
    wine.msi("/i", str(installers().msi))
    wine.msi("/x", str(installers().msi), "REMOVESTATE=1")
    assert not wine.path(HOME).exists()
    assert len(scim.active()) == 5
