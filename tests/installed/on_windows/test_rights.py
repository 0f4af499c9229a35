"""Who is let in where. Wine knows no rights, so this looks at what Windows is asked for, and that it takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import win32con
import win32file
import win32security

from agent.errors import StateProblem
from agent.service.windows import rights
from agent.service.windows.names import Service, service_of

ADMINISTRATORS = {"FA SY", "FA BA"}
READ, MODIFY = "0x1200a9", "0x1301bf"


class Asked:
    """What SetNamedSecurityInfo was asked for: the entries by directory. Everything was for good, and with an owner."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entries: dict[str, set[str]] = {}
        self._descriptor = ""
        self._really = win32security.SetNamedSecurityInfo
        made: Callable[[str], Any] = rights._descriptor

        def noted(text: str) -> Any:
            self._descriptor = text
            return made(text)

        monkeypatch.setattr(rights, "_descriptor", noted)
        monkeypatch.setattr(win32security, "SetNamedSecurityInfo", self._set)

    def _set(self, path: str, kind: int, what: int, owner: Any, *more: Any) -> None:
        assert what == (
            win32security.OWNER_SECURITY_INFORMATION
            | win32security.DACL_SECURITY_INFORMATION
            | win32security.PROTECTED_DACL_SECURITY_INFORMATION
        )
        assert win32security.ConvertSidToStringSid(owner) == "S-1-5-32-544"
        text = self._descriptor.removeprefix("O:BAD:P(").removesuffix(")")
        parts = [entry.split(";") for entry in text.split(")(")]
        assert {(part[0], part[1]) for part in parts} == {("A", "OICI")}
        self.entries[Path(path).name] = {f"{part[2]} {part[5]}" for part in parts}
        self._really(path, kind, what, owner, *more)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(monkeypatch)


@pytest.fixture
def services(tmp_path: Path) -> tuple[Service, Service]:
    home = tmp_path / "Rollcall"
    return service_of(home / "agent.toml", home), service_of(home / "hr.toml", home)


def test_the_service_and_administrators_alone_are_let_in(asked: Asked, services: tuple[Service, Service]) -> None:
    single, other = services

    assert rights.give_rights(single, [other], single.home / "state") == []

    assert asked.entries == {
        "Rollcall": ADMINISTRATORS | {f"{READ} {single.sid}", f"{READ} {other.sid}"},
        "logs": ADMINISTRATORS | {f"{MODIFY} {single.sid}", f"{MODIFY} {other.sid}"},
        "credentials": ADMINISTRATORS | {f"{READ} {single.sid}"},
        "state": ADMINISTRATORS | {f"{MODIFY} {single.sid}"},
    }


def test_a_state_directory_that_holds_other_things_keeps_its_rights(
    asked: Asked, services: tuple[Service, Service], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "data"
    elsewhere.mkdir()
    (elsewhere / "somebody else's").touch()

    told = rights.give_rights(services[0], [], elsewhere)

    assert "data" not in asked.entries
    assert "icacls" in told[0]
    (elsewhere / "rollcall.sqlite3").touch()
    assert rights.give_rights(services[0], [], elsewhere) == []
    assert "data" in asked.entries


def test_a_state_that_nobody_knows_of_is_left_alone(asked: Asked, services: tuple[Service, Service]) -> None:
    rights.give_rights(services[0], [], None)

    assert set(asked.entries) == {"Rollcall", "logs", "credentials"}


def test_what_a_user_has_made_before_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, services: tuple[Service, Service]
) -> None:
    home = services[0].home
    rights.refuse_what_belongs_to_others(home)  # it is not there
    home.mkdir()
    rights.refuse_what_belongs_to_others(home)  # it is ours
    everybody = win32security.ConvertStringSidToSid("S-1-1-0")
    planted = win32security.SECURITY_DESCRIPTOR()
    planted.SetSecurityDescriptorOwner(everybody, False)
    monkeypatch.setattr(win32security, "GetNamedSecurityInfo", lambda *_arguments: planted)

    with pytest.raises(StateProblem, match="does not belong to the administrators"):
        rights.give_rights(services[0], [], None)

    assert list(home.iterdir()) == []


def test_a_directory_that_leads_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, services: tuple[Service, Service]
) -> None:
    services[0].home.mkdir()
    monkeypatch.setattr(win32file, "GetFileAttributes", lambda _path: win32con.FILE_ATTRIBUTE_REPARSE_POINT)

    with pytest.raises(StateProblem, match="leads elsewhere"):
        rights.give_rights(services[0], [], None)
