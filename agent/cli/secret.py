"""`rollcall secret`: puts a password or a token where the agent finds it, without a command line or a log seeing it."""

from __future__ import annotations

import argparse
import codecs
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.cli.init.questions import Questions
from agent.cli.init.writing import write_secret
from agent.cli.terminal import console
from agent.command_line import rollcall
from agent.errors import ExitCode, UsageProblem
from agent.operating_system import credentials_beside, encrypted_beside
from agent.plugins import secrets_in

_OF_SECTIONS = ("upstream.token", "notice.webhook_url", "notice.smtp_password")


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser(
        "secret", parents=[common], help="store a password or a token: asked for, or the first line of standard input"
    )
    parser.add_argument("name", metavar="NAME", help="as agent.example.toml has it: upstream.token, corp.bind_password")
    parser.set_defaults(command=command, quiet_logs=True)


def command(options: argparse.Namespace) -> ExitCode:
    """Ask for it, and write it down. Raises RollcallError."""
    _refuse_where_it_is_not_looked_for(options.name, options.config)
    secret = Questions(console()).secret(options.name) if sys.stdin.isatty() else _first_line(sys.stdin.buffer.read())
    if not secret:
        raise UsageProblem("Nothing was given, so nothing was written.")
    path = credentials_beside(options.config) / options.name
    write_secret(path, secret, options.config)
    stop, start = (rollcall(f"service {verb}", options.config) for verb in ("stop", "start"))
    console().print(f"Written to {path}. The service takes it with its next start: {stop}, then {start}.")
    encrypted = encrypted_beside(options.config) / options.name
    if encrypted.is_file():
        console().print(
            f"{encrypted} is there, too. Remove it, or encrypt the new secret in its place (guide: install.md, "
            '"Where things are"): the service takes the plain one, and does not start at all if the encrypted one was '
            "made on another machine."
        )
    return ExitCode.DONE


def _first_line(given: bytes) -> str:
    """Return the first line of what a program has written, in UTF-8 or in what PowerShell makes of it."""
    encoding = "utf-16" if given.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = given.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UsageProblem("What came is not text in UTF-8, so nothing was written. Type the secret in on a terminal.")
    return text.partition("\n")[0].strip()


def _refuse_where_it_is_not_looked_for(name: str, configuration: Path) -> None:
    """Say what else it is called, or where else it is. Settings that are not there yet are no obstacle."""
    section, _, field = name.rpartition(".")
    if not section or not re.fullmatch(r"[\w.-]+", name):
        raise UsageProblem(f"{name} is not the name of a secret. It is like upstream.token or corp.bind_password.")
    tables = _tables(configuration)
    if tables is None:
        return
    sources = {str(table.get("name")): table for table in tables.get("sources", [])}
    of_sources = (f"{source}.{key}" for source, table in sources.items() for key in secrets_in(table, configuration))
    known = [*_OF_SECTIONS, *of_sources]
    if name not in known:
        names = ", ".join(known)
        raise UsageProblem(f"No setting in {configuration} looks for {name}. The names are: {names}.")
    table = sources.get(section) or tables.get(section, {})
    if field in table:
        raise UsageProblem(f"{configuration} itself has {field}, and so looks nowhere else. Remove that line first.")
    if f"{field}_file" in table:
        raise UsageProblem(
            f"{configuration} says that {name} is in {table[f'{field}_file']}. Write it there, or remove that line."
        )


def _tables(configuration: Path) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(configuration.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageProblem(
            f"{configuration} cannot be read: {error}. Correct it first; {rollcall('check', configuration)} tells more."
        ) from None
