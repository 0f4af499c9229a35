"""What `rollcall init` makes of answers, where a terminal is not needed to see it."""

from __future__ import annotations

import argparse
import io
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from agent import operating_system
from agent.cli import init
from agent.cli.init import endpoint
from agent.cli.init.draft import Draft
from agent.cli.init.endpoint import choose_endpoint
from agent.cli.init.questions import Questions
from agent.cli.init.scope import ask_for_groups, selected
from agent.cli.init.survey import Group
from agent.cli.init.writing import refuse_where_nothing_can_be_written, write
from agent.connection import Connection
from agent.errors import ExitCode, StateProblem, UsageProblem
from agent.service.installed import Standing

GROUPS = [Group(f"cn=app-{number},ou=G,dc=corp", f"app-{number}", number) for number in range(1, 60)]
ALL = range(1, 60)


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("2", ["cn=app-2,ou=G,dc=corp"]),
        ("1, 3-4", ["cn=app-1,ou=G,dc=corp", "cn=app-3,ou=G,dc=corp", "cn=app-4,ou=G,dc=corp"]),
        ("app-1*, name:APP-2", ["name:app-1*", "name:APP-2"]),
        ("CN=app-7, OU=G, DC=corp", ["cn=app-7,ou=G,dc=corp"]),
        ("5,5", ["cn=app-5,ou=G,dc=corp"]),
    ],
)
def test_groups_are_chosen_by_number_pattern_and_name(answer: str, lines: list[str]) -> None:
    assert selected(answer, GROUPS, ALL) == lines


@pytest.mark.parametrize("answer", ["0", "60", "4-2", "nobody*", ",", "999999999999"])
def test_what_chooses_no_group_is_refused(answer: str) -> None:
    with pytest.raises(UsageProblem):
        selected(answer, GROUPS, ALL)


def test_a_number_that_the_list_did_not_show_is_refused() -> None:
    with pytest.raises(UsageProblem, match="shows no group of that number"):
        selected("50", GROUPS, range(1, 41))


class Answers(Questions):
    """Types what it was given, one answer after the other."""

    def __init__(self, *answers: str) -> None:
        super().__init__(Console(file=io.StringIO(), width=200))
        self._answers = list(answers)

    def ask(self, question: str, default: str = "", *, optional: bool = False) -> str:
        del question, optional
        return self._answers.pop(0) or default

    def confirm(self, question: str, *, default: bool) -> bool:
        del question
        return self.ask("", "y" if default else "n") == "y"

    @property
    def said(self) -> str:
        return str(self.out.file.getvalue())  # type: ignore[attr-defined]


class Directory:
    """Stands for a survey of many groups."""

    def read(self, _draft: Draft) -> list[str]:
        return []

    def groups(self) -> list[Group]:
        return GROUPS


def test_of_many_groups_some_are_shown_and_a_text_finds_the_others() -> None:
    answers, draft = Answers("/app-5", "50"), Draft(Path("agent.toml"))

    ask_for_groups(answers, draft, Directory())  # type: ignore[arg-type]

    assert draft.sections["scope"] == {"groups": ["cn=app-50,ou=G,dc=corp"]}
    first, _, second = answers.said.partition("more of 59")
    assert "app-40" in first
    assert "app-41" not in first
    assert "app-59" in second


def _draft(path: Path) -> Draft:
    source = {"name": "corp", "connector": "ldap", "urls": ["ldaps://h"], "base_dn": 'ou="x\\,y",dc=c\x7f',
              "bind_dn": "cn=r", "bind_password": "s3cret"}  # fmt: skip
    sections = {"upstream": {"url": "https://h", "token": "t0ken"}, "scope": {"groups": ["name:*"]}}
    return Draft(path, source, sections)


def test_for_the_service_secrets_have_the_names_and_the_place_that_its_unit_gives() -> None:
    first, second = _draft(Path("/etc/rollcall/agent.toml")), _draft(Path("/etc/rollcall/eu.toml"))

    assert [str(path) for path in first.secrets()] == [
        "/etc/rollcall/credentials/corp.bind_password", "/etc/rollcall/credentials/upstream.token",
    ]  # fmt: skip
    assert [str(path) for path in second.secrets()] == [
        "/etc/rollcall/eu.credentials/corp.bind_password", "/etc/rollcall/eu.credentials/upstream.token",
    ]  # fmt: skip
    assert "_file" not in first.text()
    states = [tomllib.loads(draft.text())["agent"]["state_dir"] for draft in (first, second)]
    assert states == ["/var/lib/rollcall", "/var/lib/rollcall/eu"]


def test_what_is_written_reads_as_it_was_answered_and_holds_no_secret() -> None:
    draft = _draft(Path("/srv/rollcall/my.toml"))

    table = tomllib.loads(draft.text())

    assert table["sources"][0]["base_dn"] == draft.source["base_dn"]
    assert table["sources"][0]["bind_password_file"] == "corp.bind_password"
    assert table["upstream"]["token_file"] == "upstream.token"
    assert "s3cret" not in draft.text()
    assert "t0ken" not in draft.text()


def test_each_further_connection_is_asked_how_it_goes_at_a_port_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in (operating_system, endpoint):
        monkeypatch.setattr(module, "default_configuration_file", lambda: tmp_path / "agent.toml")
    (tmp_path / "broken.toml").write_text("[health")
    (tmp_path / "silent.toml").write_text('[health]\nlisten = ""')
    asked_at = []
    for name in ("agent", "sales", "support", "sales"):
        draft = _draft(tmp_path / f"{name}.toml")
        choose_endpoint(draft)
        draft.path.write_text(draft.text())
        asked_at.append(tomllib.loads(draft.text()).get("health", {}).get("listen", "the usual one"))

    elsewhere = _draft(tmp_path / "elsewhere" / "sales.toml")
    choose_endpoint(elsewhere)

    assert asked_at == ["the usual one", "127.0.0.1:9465", "127.0.0.1:9466", "127.0.0.1:9465"]
    assert "health" not in elsewhere.sections


class Manager:
    """A service manager that does what it is told to."""

    def __init__(self, *, active: bool = False, starts: bool = True) -> None:
        self.done: list[str] = []
        self._active = active
        self._starts = starts

    def status(self) -> Standing:
        return Standing(well=self._active, lines=())

    def stop(self) -> Standing:
        self.done.append("stop")
        return Standing(well=True, lines=("stopped",))

    def missing(self) -> str:
        return ""

    def install(self, _connection: Connection) -> Standing:
        self.done.append("install")
        return Standing(well=True, lines=("installed",))

    def start(self) -> Standing:
        self.done.append("start")
        return Standing(well=self._starts, lines=("rollcall.service is active",))


@pytest.mark.parametrize(("answer", "done"), [("", ["install", "start"]), ("n", [])])
def test_the_service_is_offered_and_started_only_on_request(
    monkeypatch: pytest.MonkeyPatch, answer: str, done: list[str]
) -> None:
    manager, answers = Manager(), Answers(answer)
    monkeypatch.setattr(init, "service_manager", lambda _path: manager)
    monkeypatch.setattr(init, "open_connection", lambda _options: None)

    init._offer_service(answers, argparse.Namespace(config=Path("/etc/rollcall/agent.toml")))

    assert manager.done == done
    assert ("is active" in answers.said) is bool(done)


def test_a_service_that_runs_begins_anew_with_the_new_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Manager(active=True)
    monkeypatch.setattr(init, "service_manager", lambda _path: manager)
    monkeypatch.setattr(init, "open_connection", lambda _options: None)

    code = init._offer_service(Answers(""), argparse.Namespace(config=Path("/etc/rollcall/agent.toml")))

    assert manager.done == ["install", "stop", "start"]
    assert code == ExitCode.DONE


def test_a_service_that_does_not_come_up_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(init, "service_manager", lambda _path: Manager(starts=False))
    monkeypatch.setattr(init, "open_connection", lambda _options: None)

    code = init._offer_service(Answers(""), argparse.Namespace(config=Path("/etc/rollcall/agent.toml")))

    assert code == ExitCode.USAGE


def test_what_was_there_before_stays_where_not_everything_can_be_written(tmp_path: Path) -> None:
    draft = _draft(tmp_path / "agent.toml")
    write(draft)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    draft.source["bind_password"], draft.sections["upstream"]["token"] = "another", "another"
    (tmp_path / ".agent.toml.new").mkdir()  # so the last of the files cannot be written

    with pytest.raises(StateProblem, match=r"agent\.toml cannot be written"):
        write(draft)

    (tmp_path / ".agent.toml.new").rmdir()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_a_directory_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"is a directory\. Name the file"):
        refuse_where_nothing_can_be_written(tmp_path)
