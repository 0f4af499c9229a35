r"""What belongs to the service of a configuration file: its name, its account, its places. No call of Windows is made.

`%PROGRAMDATA%\Rollcall\agent.toml` is read by the service Rollcall; `NAME.toml` beside it, for one connection of
several, by Rollcall$NAME, as instances of other services are called.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from agent.command_line import rollcall
from agent.errors import UsageProblem
from agent.operating_system import credentials_beside, default_configuration_file

SINGLE = "Rollcall"
SOURCE = "Rollcall"  # of the events in the Application log, for every instance
SEPARATOR = "$"
# What a service, an account, a file and a SID computed from upper case all agree about.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OF_THE_SINGLE_ONE = ("agent", "rollcall")  # its settings and its log


@dataclass(frozen=True, slots=True)
class Service:
    """The service of one configuration file.

    name:         the short one, which sc.exe takes
    display:      the one that the list of services shows
    """

    name: str
    display: str
    configuration: Path

    @property
    def home(self) -> Path:
        """The directory of the settings, which holds everything of Rollcall but the program."""
        return self.configuration.parent

    @property
    def credentials(self) -> Path:
        """Where its secrets are."""
        return credentials_beside(self.configuration)

    @property
    def log(self) -> Path:
        """The file that its log goes to: a service has no standard error."""
        stem = "rollcall" if self.name == SINGLE else self.configuration.stem
        return self.home / "logs" / f"{stem}.log"

    @property
    def virtual_account(self) -> str:
        """The account that Windows keeps for it: without a password, and for nothing else."""
        return f"NT SERVICE\\{self.name}"

    @property
    def sid(self) -> str:
        """What rights are given to. Whatever account the service runs as, its token has it: MS-LSAT, section 3.1.1.1.

        It is computed from the name, so that rights can be given before the service is there.
        """
        digest = hashlib.sha1(self.name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
        return "S-1-5-80-" + "-".join(str(number) for number in struct.unpack("<5I", digest))


def service_of(configuration: Path, home: Path | None = None) -> Service:
    """Return the service that reads this configuration file. Raises UsageProblem where none does."""
    path, home = configuration.absolute(), home or default_configuration_file().parent
    single = path.name.casefold() == "agent.toml"  # Windows does not tell them apart
    fits = _NAME.fullmatch(path.stem) and path.stem.casefold() not in _OF_THE_SINGLE_ONE
    if path.parent != home or path.suffix != ".toml" or not (single or fits):
        raise UsageProblem(
            f"The service reads {home / 'agent.toml'}, or {home / 'NAME.toml'} for one connection of several (NAME of "
            f"letters from A to Z, digits, - and _; not rollcall), and not {path}. Move the file there, or start "
            f"{rollcall('run', path)} yourself."
        )
    if single:
        return Service(SINGLE, "Rollcall", home / "agent.toml")
    return Service(f"{SINGLE}{SEPARATOR}{path.stem}", f"Rollcall ({path.stem})", path)


def is_ours(name: str) -> bool:
    """Tell whether a service of this name is one of ours."""
    single, separator, rest = name.partition(SEPARATOR)
    return name == SINGLE or (single == SINGLE and separator != "" and _NAME.fullmatch(rest) is not None)
