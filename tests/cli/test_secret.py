"""`rollcall secret`: a password gets to where the agent looks for it, or it is said why it would not be found."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.connection import connect
from agent.errors import ExitCode, UsageProblem

SETTINGS = """
[[sources]]
name = "corp"
connector = "ldap"
urls = ["ldaps://directory.example.com"]
base_dn = "dc=example,dc=com"
bind_dn = "cn=rollcall,dc=example,dc=com"
[upstream]
url = "https://scim.example.com"
[scope]
groups = ["name:app-*"]
[external]
managed_domains = ["example.com"]
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(SETTINGS)
    return path


def store(monkeypatch: pytest.MonkeyPatch, configuration: Path, name: str, secret: str) -> ExitCode:
    return store_bytes(monkeypatch, configuration, name, secret.encode())


def store_bytes(monkeypatch: pytest.MonkeyPatch, configuration: Path, name: str, given: bytes) -> ExitCode:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given), encoding="cp1252"))
    return main(["secret", name, "--config", str(configuration)])


def test_what_is_stored_is_what_the_agent_uses(
    monkeypatch: pytest.MonkeyPatch, configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store(monkeypatch, configuration, "corp.bind_password", "swordfish\n") == ExitCode.DONE
    assert store(monkeypatch, configuration, "upstream.token", "token-1\nand another line\n") == ExitCode.DONE
    assert store(monkeypatch, configuration, "upstream.token", "token-2\n") == ExitCode.DONE

    connection = connect(configuration)
    assert connection.service.token.get_secret_value() == "token-2"
    assert connection.sources[0].settings.bind_password.get_secret_value() == "swordfish"
    file = configuration.parent / "credentials" / "upstream.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    printed = capsys.readouterr()
    assert "swordfish" not in printed.out + printed.err


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_secret_is_the_one_that_was_meant_whatever_wrote_it(
    monkeypatch: pytest.MonkeyPatch, configuration: Path, encoding: str
) -> None:
    given = "pässwörd\r\n".encode(encoding)

    assert store_bytes(monkeypatch, configuration, "corp.bind_password", given) == ExitCode.DONE

    assert store(monkeypatch, configuration, "upstream.token", "other") == ExitCode.DONE
    assert connect(configuration).sources[0].settings.bind_password.get_secret_value() == "pässwörd"


@pytest.mark.parametrize("given", [b"p\xe4ssword\n", b"p\0a\0s\0s\0", b"\x81"])
def test_what_is_no_text_is_not_stored(monkeypatch: pytest.MonkeyPatch, configuration: Path, given: bytes) -> None:
    assert store_bytes(monkeypatch, configuration, "upstream.token", given) == ExitCode.USAGE

    assert not (configuration.parent / "credentials").exists()


def test_a_byte_order_mark_is_part_of_no_setting_and_of_no_secret(configuration: Path) -> None:
    configuration.write_bytes(b"\xef\xbb\xbf" + configuration.read_bytes())
    secrets = configuration.parent / "credentials"
    secrets.mkdir()
    for name in ("upstream.token", "corp.bind_password"):
        (secrets / name).write_bytes(b"\xef\xbb\xbfswordfish\r\n")

    assert connect(configuration).service.token.get_secret_value() == "swordfish"


def test_before_there_are_settings_a_secret_can_be_stored(monkeypatch: pytest.MonkeyPatch, configuration: Path) -> None:
    configuration.unlink()

    assert store(monkeypatch, configuration, "corp.bind_password", "swordfish\n") == ExitCode.DONE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("token", "is not the name of a secret"),
        ("../upstream.token", "is not the name of a secret"),
        ("crop.bind_password", "The names are: upstream.token"),
        ("upstream.tokn", "The names are: upstream.token"),
        ("corp.bind_pasword", "corp.bind_password."),
        ("corp.token", "corp.bind_password."),
    ],
)
def test_a_name_that_nothing_looks_for_is_refused(
    monkeypatch: pytest.MonkeyPatch, configuration: Path, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert store(monkeypatch, configuration, name, "swordfish\n") == ExitCode.USAGE

    assert said in capsys.readouterr().err
    assert not (configuration.parent / "credentials").exists()


@pytest.mark.parametrize("line", ['token_file = "/etc/elsewhere"', 'token = "in the clear"'])
def test_a_secret_that_the_settings_look_for_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, configuration: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    configuration.write_text(SETTINGS.replace("[upstream]\n", f"[upstream]\n{line}\n"))

    assert store(monkeypatch, configuration, "upstream.token", "swordfish\n") == ExitCode.USAGE

    assert "remove that line" in capsys.readouterr().err.lower()


def test_nothing_given_is_nothing_written(monkeypatch: pytest.MonkeyPatch, configuration: Path) -> None:
    assert store(monkeypatch, configuration, "upstream.token", "\n") == ExitCode.USAGE

    assert not (configuration.parent / "credentials").exists()


def test_a_secret_that_was_written_where_its_file_belongs_is_not_repeated(configuration: Path) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb2xsY2FsbCJ9/c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw=="
    configuration.write_text(SETTINGS.replace("[upstream]\n", f'[upstream]\ntoken_file = "{token}"\n'))

    with pytest.raises(UsageProblem, match=r"token_file: the file .* cannot be read") as told:
        connect(configuration)

    assert [part for part in token.split("/") if part in str(told.value)] == []


def test_a_secret_that_is_no_text_is_refused(configuration: Path) -> None:
    configuration.write_text(
        SETTINGS.replace("[upstream]\n", '[upstream]\ntoken = "t"\n', 1).replace(
            "base_dn", 'bind_password = ["swordfish"]\nbase_dn'
        )
    )

    with pytest.raises(UsageProblem, match=r"sources\.corp\.bind_password: write a text in quotes") as told:
        connect(configuration)
    assert "swordfish" not in str(told.value)
