"""`rollcall`: parse the command line, call the command, turn its outcome into an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent import __version__
from agent.cli import (
    approve,
    audit,
    check,
    demo,
    explain,
    external,
    init,
    plan,
    provision,
    run,
    secret,
    service,
    status,
    sync,
)
from agent.errors import ExitCode, RollcallError
from agent.operating_system import default_configuration_file, write_as_utf8

_COMMANDS = (
    demo, init, secret, check, external, plan, sync, run, status, explain, provision, audit, approve, service,
)  # fmt: skip


def entry_point() -> None:
    """Run as a program."""
    write_as_utf8()
    sys.exit(int(main(sys.argv[1:])))


def main(arguments: Sequence[str]) -> ExitCode:
    """Run one command. Trouble becomes one or a few sentences on standard error and an exit code, no traceback."""
    options = command_parser().parse_args(arguments)
    try:
        command: Callable[[argparse.Namespace], ExitCode] = options.command
        return command(options)
    except RollcallError as error:
        print(f"rollcall: {error}", file=sys.stderr)  # noqa: T201 - this is the program's voice
        return error.exit_code
    except KeyboardInterrupt:
        print("rollcall: interrupted; what was acknowledged is recorded.", file=sys.stderr)  # noqa: T201
        return ExitCode.USAGE
    except BrokenPipeError:
        # Whoever read our output stopped reading (`rollcall external | head`): nothing to report to.
        sys.stderr.close()
        return ExitCode.DONE


def command_parser() -> argparse.ArgumentParser:
    """Return what understands the command line."""
    parser = argparse.ArgumentParser(
        prog="rollcall",
        description="Keeps a SCIM 2.0 service equal to the groups of a directory, every member included.",
        epilog="Exit codes: 0 done, 1 done with rejected objects, 2 wrong usage or configuration, 3 stopped by a "
        "guard, 4 a source could not be read completely, 5 upstream unreachable or refusing the credentials.",
    )
    parser.add_argument("--version", action="version", version=f"rollcall {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config",
        type=Path,
        default=default_configuration_file(),
        metavar="FILE",
        help="the configuration file (default: %(default)s)",
    )
    common.add_argument("--verbose", action="store_true", help="log everything, on standard error")
    for module in _COMMANDS:
        module.add_to(commands, common)
    return parser
