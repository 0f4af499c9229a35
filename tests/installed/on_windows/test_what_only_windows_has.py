"""Windows' own ways, one by one: locks, protected secrets, rights, ports, paths."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import AnotherAgentRuns, UsageProblem
from agent.operating_system import (
    account_name,
    default_configuration_file,
    default_state_directory,
    share_no_port,
    single_writer,
)
from agent.sealed_secrets import open_sealed, seal
from agent.whole_files import write_whole

HOLDING = """
import sys
from pathlib import Path
from agent.operating_system import single_writer
with single_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_places_are_below_program_data_for_every_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRAMDATA", r"C:\elsewhere")

    assert default_configuration_file() == Path(r"C:\ProgramData\Rollcall\agent.toml")
    assert default_state_directory() == Path(r"C:\ProgramData\Rollcall\state")
    assert account_name() != ""


def test_one_writer_keeps_another_process_out_until_it_has_ended(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(AnotherAgentRuns), single_writer(tmp_path):
            pass
        other.stdin.close()
        other.wait(timeout=30)

    with single_writer(tmp_path):
        pass


def test_a_secret_is_encrypted_on_the_disk_and_known_again(tmp_path: Path) -> None:
    written = seal("swördfish", tmp_path, for_the_service=True)
    file = tmp_path / "upstream.token"

    assert "fish" not in written
    assert open_sealed(written, file) == "swördfish"
    assert seal("swördfish", tmp_path, for_the_service=True) != written


@pytest.mark.parametrize("scope", [True, False])
def test_without_what_belongs_to_it_a_secret_cannot_be_decrypted(tmp_path: Path, scope: bool) -> None:
    written = seal("swordfish", tmp_path, for_the_service=scope)
    file = tmp_path / "upstream.token"

    (tmp_path / "entropy").write_text("another")
    with pytest.raises(UsageProblem, match="cannot be decrypted"):
        open_sealed(written, file)
    (tmp_path / "entropy").unlink()
    with pytest.raises(UsageProblem, match="rollcall secret"):
        open_sealed(written, file)
    (tmp_path / "entropy").write_text("another")
    with pytest.raises(UsageProblem, match="it is damaged"):
        open_sealed("dpapi:no base64", file)


def test_a_file_is_written_whole_over_one_that_is_there(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "one\n", 0o600)
    write_whole(tmp_path / "file", "other\n", 0o600)

    assert (tmp_path / "file").read_text() == "other\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_port_that_somebody_listens_at_is_refused() -> None:
    with socket.socket() as first, socket.socket() as second:
        share_no_port(first)
        first.bind(("127.0.0.1", 0))
        first.listen()
        share_no_port(second)
        with pytest.raises(OSError, match="WinError"):
            second.bind(first.getsockname())
