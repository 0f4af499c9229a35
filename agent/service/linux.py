"""The service on Linux, by systemctl. Its own words are for whoever knows systemd; these are for everybody."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from agent.command_line import rollcall
from agent.connection import Connection
from agent.errors import UsageProblem
from agent.operating_system import credentials_beside, encrypted_beside
from agent.service.installed import Standing
from agent.service.needs import (
    need_readable_settings,
    need_state_directory,
    need_state_of_its_own,
    state_directory_in,
)
from agent.service.unit import ACCOUNT, WRITTEN, Places, own_state, shipped, unit_of, written_unit
from agent.service.words import SHOWN, in_plain_words, what_stays
from agent.whole_files import write_whole


class LinuxService:
    """See ServiceManager."""

    def __init__(self, configuration: Path, places: Places | None = None, account: str = ACCOUNT) -> None:
        self._places = places or Places()
        self._configuration = configuration
        self._account = account
        self._unit = unit_of(configuration, self._places)

    def missing(self) -> str:
        """See ServiceManager."""
        if not self._places.running.is_dir() or shutil.which("systemctl") is None:
            return (
                "This machine does not run systemd, so there is no service. Let what starts programs here start "
                f"{self._command('run')}."
            )
        if os.geteuid() != 0:
            return "Only root may change services: run it again as root, with sudo for example."
        return ""

    def install(self, connection: Connection, account: str | None = None) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        if account is not None:
            raise UsageProblem(
                f"On Linux the unit names the account. To have another one, write User= and Group= into a file that "
                f"systemctl edit {self._unit.name} opens."
            )
        self._need_account()
        need_readable_settings(connection, self._configuration, self._account, self._places)
        self._need_state_directory(connection.settings.agent.state_dir)
        self._need_directories()
        told = []
        file = self._own_file
        if (self._places.of_packages / self._unit.file).exists():
            if self._is_own():  # of a time before the package, whose unit it would hide
                file.unlink()
                self._systemctl("daemon-reload")
                told.append(f"{file} is removed: the package has brought its own.")
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, written_unit(self._unit, self._places), 0o644)
            self._systemctl("daemon-reload")
            told.append(f"The unit is {file}.")
        self._systemctl("enable", self._unit.name)
        told.append(f"{self._unit.name} starts with the machine from now on, as the account {self._account}.")
        if self._properties()["ActiveState"] != "active":
            told.append(f"It does not run yet: {self._command('service start')}.")
        return Standing(well=True, lines=tuple(told))

    def uninstall(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        if self._properties()["LoadState"] == "not-found":
            return Standing(well=True, lines=(f"{self._unit.name} is not installed.",))
        self._systemctl("disable", "--now", self._unit.name)
        if self._is_own() and "@" not in self._unit.name:  # a template may have other instances
            self._own_file.unlink()
            self._systemctl("daemon-reload")
        own = own_state(self._configuration, self._places)
        kept = what_stays(self._configuration, state_directory_in(self._configuration, self._places) or own)
        return Standing(well=True, lines=(f"{self._unit.name} is stopped and does not start any more.", kept))

    def start(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        self._refuse_if_absent()
        if self._properties()["ActiveState"] == "activating":
            self._systemctl("stop", self._unit.name, may_fail=True)  # else this would wait for the start that is due
        # After failures, or many starts by hand, systemd would refuse this one.
        self._systemctl("reset-failed", self._unit.name, may_fail=True)
        self._systemctl("start", self._unit.name, may_fail=True)
        return self._told(self._properties())

    def stop(self) -> Standing:
        """See ServiceManager."""
        self._refuse_if(self.missing())
        self._refuse_if_absent()
        self._systemctl("stop", self._unit.name)
        boots = self._properties()["UnitFileState"] == "enabled"
        start = self._command("service start")
        again = f"with the machine, or by {start}" if boots else f"by {start} alone"
        return Standing(well=True, lines=(f"{self._unit.name} is stopped. It starts again {again}.",))

    def status(self) -> Standing:
        """See ServiceManager. Everybody may ask."""
        missing = self.missing()
        self._refuse_if(missing if os.geteuid() == 0 else "")
        if not self._places.running.is_dir() or shutil.which("systemctl") is None:
            raise UsageProblem(missing)
        return self._told(self._properties())

    def _told(self, found: Mapping[str, str]) -> Standing:
        if self._configuration.exists():
            remedy = f"To start it: {self._command('service start')}."
        else:
            remedy = f"There is no {self._configuration}, so it would not start: {self._command('init')}."
        return in_plain_words(self._unit.name, found, remedy, self._command)

    def _command(self, words: str) -> str:
        return rollcall(words, self._configuration)

    def _need_account(self) -> None:
        with contextlib.suppress(KeyError):
            pwd.getpwnam(self._account)
            return
        try:
            subprocess.run(
                ["systemd-sysusers", "-"],  # noqa: S607 - root's PATH is root's affair
                input=shipped("rollcall.sysusers"),
                text=True,
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", "") or error).strip()
            raise UsageProblem(
                f"The account {self._account} could not be made: {said.removesuffix('.')}. Make it by hand "
                f"(useradd --system {self._account}), and run this again."
            ) from error

    def _need_directories(self) -> None:
        """Make the directories for secrets: without one that LoadCredential= names systemd starts nothing."""
        for directory in (credentials_beside(self._configuration), encrypted_beside(self._configuration)):
            if not directory.exists():
                directory.mkdir(mode=0o750)
                os.chown(directory, 0, pwd.getpwnam(self._account).pw_gid)

    def _need_state_directory(self, directory: Path) -> None:
        shown = self._systemctl("show", self._unit.name, "--property=ReadWritePaths")
        lines = [line.partition("=") for line in shown.splitlines()]
        opened = [
            Path(path.lstrip("-+")) for name, _, value in lines if name == "ReadWritePaths" for path in value.split()
        ]
        need_state_directory(directory, self._unit, own_state(self._configuration, self._places), opened, self._account)
        need_state_of_its_own(directory, self._configuration.absolute(), self._places)

    @property
    def _own_file(self) -> Path:
        return self._places.of_administrators / self._unit.file

    def _is_own(self) -> bool:
        try:
            return self._own_file.read_text(encoding="utf-8").startswith(WRITTEN)
        except OSError:
            return False

    def _refuse_if(self, reason: str) -> None:
        if reason:
            raise UsageProblem(reason)

    def _refuse_if_absent(self) -> None:
        if self._properties()["LoadState"] == "not-found":
            raise UsageProblem(f"{self._unit.name} is not installed. Run {self._command('service install')}.")

    def _properties(self) -> Mapping[str, str]:
        shown = self._systemctl("show", self._unit.name, *(f"--property={name}" for name in SHOWN))
        found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        return {name: found.get(name, "") for name in SHOWN}

    def _systemctl(self, *arguments: str, may_fail: bool = False) -> str:
        done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
        if done.returncode != 0 and not may_fail:
            said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
            raise UsageProblem(
                f"systemctl {arguments[0]} did not succeed: {said.removesuffix('.')}. See journalctl --boot."
            )
        return done.stdout
