"""Secrets that systemd has encrypted: the service finds them, and a command that does not is told how it would."""

from __future__ import annotations

import io

import pytest

from agent.cli.main import main
from tests.service.on_linux.machine import SECRET, Machine, run

_LDAP = """
[[sources]]
name = "tree"
connector = "ldap"
urls = ["ldaps://directory.example.com"]
base_dn = "dc=example,dc=com"
bind_dn = "cn=rollcall,dc=example,dc=com"
[notice]
smtp_host = "mail.example.com"
smtp_user = "rollcall"
from = "rollcall@example.com"
to = ["admins@example.com"]
"""
NAMES = ("upstream.token", "tree.bind_password", "notice.smtp_password", "notice.webhook_url")


@pytest.fixture
def encrypted(machine: Machine) -> Machine:
    """Every secret is encrypted, and root cannot read any of them as it is."""
    machine.with_package()
    (machine.places.settings / "credentials" / "upstream.token").unlink()
    directory = machine.places.settings / "credentials.encrypted"
    directory.mkdir()
    for name in NAMES:
        (directory / name).write_text("WhQZht+JQJax1aZemmGLxm")
    with machine.configuration.open("a") as file:
        file.write(_LDAP)
    return machine


def test_install_needs_no_secret_that_the_service_alone_can_read(
    encrypted: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(encrypted, "install") == 0

    assert encrypted.asked() == ["enable rollcall.service"]
    assert "starts with the machine" in capsys.readouterr().out


def test_install_refuses_settings_without_any_token(encrypted: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    (encrypted.places.settings / "credentials.encrypted" / "upstream.token").unlink()

    assert run(encrypted, "install") == 2

    assert encrypted.asked() == []
    told = capsys.readouterr().err
    assert "no token is set" in told
    assert "is encrypted" not in told
    assert "rollcall secret upstream.token" in told


@pytest.mark.parametrize("missing", [*NAMES[:3]])
def test_a_command_that_does_not_find_an_encrypted_secret_says_how_it_is_given_one(
    encrypted: Machine, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    for name in {*NAMES} - {missing, "notice.webhook_url"}:
        (encrypted.places.settings / "credentials" / name).write_text(SECRET)

    assert main(["check", "--config", str(encrypted.configuration)]) == 2

    told = capsys.readouterr().err
    file = encrypted.places.settings / "credentials.encrypted" / missing
    assert f"{file} is encrypted for the service alone" in told
    assert 'install.md, "Where things are"' in told


def test_who_writes_a_secret_is_told_of_the_encrypted_one(
    encrypted: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"another\n"), encoding="utf-8"))
        assert main(["secret", "upstream.token", "--config", str(encrypted.configuration)]) == 0
        (encrypted.places.settings / "credentials.encrypted" / "upstream.token").unlink(missing_ok=True)

    told = capsys.readouterr().out
    assert told.count("credentials.encrypted/upstream.token is there, too. Remove it") == 1
