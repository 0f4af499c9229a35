"""A second connection with encrypted secrets, set up and asked as the guide tells, beside the first one."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_daemon import wait_for
from tests.guide import block_of
from tests.installed.container import Container
from tests.installed.parts import debian, packages
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import ScimService

SETTINGS = """
[[sources]]
name = "corp"
connector = "ldif"
file = "/opt/directory.ldif"
[upstream]
url = "{url}"
[scope]
groups = ["name:{groups}"]
[external]
managed_domains = ["example.com"]
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    deb = packages().deb  # made with the network of the outside
    (tmp_path / "container").mkdir()
    with Container(debian(), tmp_path / "container") as booted, booted.network():
        booted.write("/opt/rollcall.deb", deb.read_bytes())
        booted.run("dpkg", "--install", "/opt/rollcall.deb")
        booted.write("/opt/directory.ldif", people(3) + group("app-a", *uids(3)))
        yield booted


def type_in(container: Container, heading: str, before: str = "", **instead: str) -> str:
    commands = block_of("install.md", heading, "sh", before)
    for told, here in instead.items():
        commands = commands.replace(told, here)
    return container.run("sh", "-e", "-c", commands)


def with_secrets(person: str) -> str:
    heading = "Commands with encrypted secrets"
    makes = block_of("install.md", heading, "sh", "shell, this makes")
    return makes + block_of("install.md", heading, "sh", "need no secrets").replace("anna@example.com", person)


def secrets_again(token: str) -> str:
    """What the guide tells to type after a move; the source of this connection has no password."""
    told = block_of("keeping.md", "Secrets of another machine", "sh").splitlines()
    assert [line.split()[-1] for line in told[1:2]] == ["upstream.token"]
    return f"{told[0]}\nprintf %s '{token}' | {told[1]}"


def test_it_runs_beside_the_first_with_secrets_that_only_systemd_can_read(container: Container) -> None:
    health = block_of("install.md", "Several connections", "toml")
    state = '[agent]\nstate_dir = "/var/lib/rollcall/sales"\n'
    with ScimService() as first, ScimService() as second:
        for name, service, more in (("agent", first, ""), ("sales", second, state + health)):
            container.write(f"/etc/rollcall/{name}.toml", more + SETTINGS.format(url=service.url, groups="app-*"))
        container.write("/etc/rollcall/credentials/upstream.token", first.token, 0o600)
        container.run("mkdir", "-p", "/etc/rollcall/sales.credentials")
        container.write("/etc/rollcall/sales.credentials/upstream.token", second.token, 0o600)

        type_in(container, "First start")
        type_in(container, "Several connections", "Every command")

        for service in (first, second):
            wait_for(lambda service=service: len(service.active()) == 3)  # type: ignore[misc]
        for port in (9464, 9465):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                assert answer.status == 200

        type_in(container, "Where things are", "To encrypt a secret, and take the plain one away:")
        assert container.code_of("test", "-e", "/etc/rollcall/credentials/upstream.token") == 1
        container.run("rollcall", "service", "stop")
        assert "rollcall.service is active" in container.run("rollcall", "service", "start")
        by_hand = container.run("rollcall", "status", check=False)
        by_systemd = container.run("sh", "-e", "-c", with_secrets("u1@example.com"))
        other_machines = "/etc/rollcall/credentials.encrypted/upstream.token"
        container.write(other_machines, "bm90IG9mIHRoaXMgbWFjaGluZQ==\n", 0o600)
        container.run("rollcall", "service", "stop")
        container.run("rollcall", "service", "start", check=False)
        refused = container.property_of("rollcall.service", "ExecMainStatus")
        container.run("rollcall", "service", "stop")
        container.run("sh", "-e", "-c", secrets_again(first.token))
        assert "rollcall.service is active" in container.run("rollcall", "service", "start")
        assert "upstream: " in container.run("rollcall", "check")

    assert "no token is set" in by_hand
    assert "every selected group was found" in by_systemd
    assert "nothing to do: the upstream is equal to the directory" in by_systemd
    assert "u1@example.com is provisioned" in by_systemd
    assert "rollcall.service starts with the machine from now on" in by_systemd
    assert "3 users (3 active)" in by_systemd
    assert refused == "243"
    assert container.code_of("test", "-e", other_machines) == 1
