"""A command that a message names is about the connection that the message is about."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.command_line import cycle_at_once, rollcall
from tests.agent_runner import Agent
from tests.guide import GUIDE
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

SALES = Path("/etc/rollcall/sales.toml")


@pytest.mark.parametrize(
    ("configuration", "command"),
    [
        ("/etc/rollcall/agent.toml", "rollcall plan"),
        ("/etc/rollcall/sales.toml", "rollcall plan --config /etc/rollcall/sales.toml"),
        ("/srv/my team.toml", "rollcall plan --config '/srv/my team.toml'"),
    ],
)
def test_the_file_of_settings_is_named_where_it_is_not_the_default_one(configuration: str, command: str) -> None:
    assert rollcall("plan", Path(configuration)) == command


def test_a_relative_file_is_named_so_that_it_is_found_from_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert rollcall("plan", Path("sales.toml")) == f"rollcall plan --config {tmp_path / 'sales.toml'}"


def test_a_cycle_is_begun_at_once_by_the_service_that_runs() -> None:
    said = cycle_at_once(SALES)

    stop, start = (f"rollcall service {verb} --config {SALES}" for verb in ("stop", "start"))
    assert said.index(stop) < said.index(start) < said.index(f"Where no service runs: rollcall sync --config {SALES}")
    assert "rollcall service" not in cycle_at_once(Path("/srv/sales.toml"))


def test_a_secret_is_stored_and_the_service_of_its_connection_is_to_take_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"swordfish\n"), encoding="utf-8"))
    file = tmp_path / "sales.toml"

    assert main(["secret", "upstream.token", "--config", str(file)]) == 0

    told = capsys.readouterr().out
    assert [verb for verb in ("stop", "start") if f"rollcall service {verb} --config {file}" not in told] == []


def test_a_plan_that_is_held_and_its_approval_name_the_file_of_settings(agent: Agent, scim: ScimService) -> None:
    agent.ldif.write_text(people(4) + group("app-a", *uids(4)))
    agent.configure(scim, guard={"users": 0, "members": 0})
    agent.sync()
    agent.ldif.write_text(people(4) + group("app-a", *uids(1)))
    digest = agent.sync()["plan_digest"]
    here = f"--config {agent.configuration}"

    planned = agent.run("plan")
    unknown = agent.run("approve", "0123456789ab")
    approved = agent.run("approve", digest)

    assert f"rollcall approve {digest} {here}" in planned.out
    assert f"see rollcall plan {here}" in unknown.err
    assert "The next cycle carries them out" in approved.out
    assert f"rollcall sync {here}" in approved.out
    assert "sync now" not in approved.out


def test_a_list_that_waits_and_the_decision_about_it_name_the_file_of_settings(agent: Agent, scim: ScimService) -> None:
    outside = "".join(person(uid, mail=f"{uid}@partner.example") for uid in uids(2))
    agent.ldif.write_text(outside + group("app-a", *uids(2)))
    agent.configure(scim, external={"policy": "review"})
    here = f"--config {agent.configuration}"

    before = agent.run("external", "opt-in")
    agent.sync()
    shown = agent.run("external")
    decided = agent.run("external", "opt-in")

    assert f"Run rollcall sync {here}" in before.err
    assert "rollcall external opt-in --list " in shown.out
    assert f" {here}\n" in shown.out
    assert f"rollcall sync {here}" in decided.out
    assert "sync now" not in decided.out


@pytest.mark.parametrize("command", ["status", "explain"])
def test_without_a_state_the_first_cycle_is_named_with_the_file_of_settings(
    agent: Agent, scim: ScimService, command: str
) -> None:
    agent.configure(scim)

    told = agent.run(command, *(["somebody"] if command == "explain" else []))

    assert f"Run rollcall sync --config {agent.configuration}." in told.out


def test_settings_that_are_not_there_are_made_by_init(agent: Agent) -> None:
    missing = agent.run("check")

    assert missing.code == 2
    init = f"rollcall init --config {agent.configuration}"
    assert missing.err.index("does not exist") < missing.err.index(init) < missing.err.index("agent.example.toml")


@pytest.mark.parametrize(
    ("document", "section"),
    [("keeping.md", "Restore the state"), ("keeping.md", "Everything is lost"), ("install.md", "Where things are")],
)
def test_a_section_of_the_guide_that_a_message_names_is_there(document: str, section: str) -> None:
    assert f"## {section}\n" in (GUIDE / document).read_text(encoding="utf-8")
