"""`rollcall service`: the system service, whatever the operating system."""

from __future__ import annotations

import argparse
from typing import Any

from agent.cli.configuration import open_connection
from agent.cli.terminal import console
from agent.errors import ExitCode
from agent.service.installed import Standing, service_manager
from agent.settings_secrets import with_encrypted_ones

_VERBS = {
    "install": "see that the service can read its settings, and let it start with the machine",
    "uninstall": "stop it, for good; state and settings stay",
    "start": "start it now",
    "stop": "stop it until it is started again",
    "status": "how it goes",
}


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("service", help="the system service: install, uninstall, start, stop, status")
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    for verb, what in _VERBS.items():
        its = verbs.add_parser(verb, parents=[common], help=what)
        its.set_defaults(command=command, quiet_logs=True)
        if verb == "install":
            its.add_argument(
                "--account", metavar="DOMAIN\\NAME$", help="on Windows: a group managed service account it runs as"
            )


def command(options: argparse.Namespace) -> ExitCode:
    """Do it, and say what came of it. Exit code 2: the service is not as was wanted."""
    manager = service_manager(options.config)
    if options.verb == "install":
        if missing := manager.missing():
            return _say(Standing(well=False, lines=(missing,)))
        with with_encrypted_ones():
            connection = open_connection(options)
        return _say(manager.install(connection, options.account))
    verbs = {
        "uninstall": manager.uninstall, "start": manager.start, "stop": manager.stop, "status": manager.status,
    }  # fmt: skip
    return _say(verbs[options.verb]())


def _say(standing: Standing) -> ExitCode:
    out = console()
    for line in standing.lines:
        out.print(line)
    return ExitCode.DONE if standing.well else ExitCode.USAGE
