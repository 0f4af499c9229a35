"""`rollcall init`: asks what it needs, tries each answer at once, writes the configuration."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from agent.cli import check, plan
from agent.cli.configuration import open_connection
from agent.cli.init.draft import Draft
from agent.cli.init.endpoint import choose_endpoint
from agent.cli.init.questions import Questions
from agent.cli.init.scope import ask_for_domains, ask_for_groups
from agent.cli.init.source import ask_for_base, ask_for_source
from agent.cli.init.survey import survey
from agent.cli.init.upstream import ask_for_schedule, ask_for_upstream
from agent.cli.init.writing import refuse_where_nothing_can_be_written, write
from agent.cli.terminal import console
from agent.command_line import rollcall
from agent.errors import ExitCode, RollcallError, UsageProblem
from agent.observe.logs import configure_logs
from agent.service.installed import service_manager


def add_to(commands: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - argparse hides this type
    """Register the command."""
    parser = commands.add_parser("init", parents=[common], help="set everything up by answering questions")
    parser.set_defaults(command=command, quiet_logs=True, notice=False, json=False)


def command(options: argparse.Namespace) -> ExitCode:
    """Ask, write, check, and offer to start the service. The exit code is that of the check."""
    if not sys.stdin.isatty():
        raise UsageProblem(
            "init asks questions: run it in a terminal, or write the file by hand: see agent.example.toml."
        )
    ask = Questions(console())
    try:
        draft = _asked(ask, options)
    except (KeyboardInterrupt, EOFError):
        raise UsageProblem("Ended before the end; nothing was written.") from None
    if draft is None:
        ask.say("Nothing was written.")
        return ExitCode.USAGE
    write(draft)
    try:
        return _tried(ask, options)
    except (KeyboardInterrupt, EOFError):
        raise UsageProblem(
            f"{options.config} is written. Go on with {rollcall('check', options.config)} and "
            f"{rollcall('plan', options.config)}."
        ) from None


def _asked(ask: Questions, options: argparse.Namespace) -> Draft | None:
    """Ask everything; return it if it is to be written."""
    path = options.config
    refuse_where_nothing_can_be_written(path)
    configure_logs("console", "error", [])
    ask.say("Each answer is tried at once. Nothing is written before the end; Ctrl-C ends it.")
    if path.exists() and not ask.confirm(f"{path} is there already. Replace it at the end?", default=False):
        return None
    draft = Draft(path)
    ask_for_source(ask, draft)
    while not _asked_for_scope(ask, draft):
        ask_for_base(ask, draft)
    ask_for_upstream(ask, draft)
    ask_for_schedule(ask, draft)
    choose_endpoint(draft)
    ask.heading(f"{path}")
    ask.say(draft.text())
    ask.say("The secrets go into files of their own: " + ", ".join(str(file) for file in draft.secrets()))
    return draft if ask.confirm("Write this?", default=True) else None


def _asked_for_scope(ask: Questions, draft: Draft) -> bool:
    with survey() as surveyed:
        if not ask_for_groups(ask, draft, surveyed):
            return False
        ask_for_domains(ask, draft, surveyed)
    return True


def _tried(ask: Questions, options: argparse.Namespace) -> ExitCode:
    """Do what `rollcall check` and `rollcall plan` do; if all is well, offer the service."""
    ask.heading("rollcall check")
    code = check.command(options)
    if code is not ExitCode.DONE:
        ask.trouble(f"Mend what is not ok, in {options.config}, and run {rollcall('check', options.config)} again.")
        return code
    ask.heading("rollcall plan: what the first cycle would do")
    plan.command(options)
    ask.say(f"Nothing was sent yet. {rollcall('external', options.config)} tells who of these is external.")
    return _offer_service(ask, options)


def _offer_service(ask: Questions, options: argparse.Namespace) -> ExitCode:
    """Install and start it, on request. Exit code 2: it was wanted, and does not run."""
    ask.heading("The service")
    try:
        manager = service_manager(options.config)
        missing = manager.missing()
    except UsageProblem as error:
        missing = str(error)
    if missing:
        ask.say(f"{missing} The first cycle by hand: {rollcall('sync', options.config)}.")
        return ExitCode.DONE
    if not ask.confirm("Install the service and start it now?", default=True):
        install, start = (rollcall(f"service {verb}", options.config) for verb in ("install", "start"))
        ask.say(f"Later: {install}, and {start}.")
        return ExitCode.DONE
    try:
        installed = manager.install(open_connection(options))
        if manager.status().well:
            manager.stop()  # it would go on with the settings of before
        started = manager.start()
    except RollcallError as error:
        ask.trouble(str(error))
        return error.exit_code
    for line in (*installed.lines, *started.lines):
        ask.say(line)
    return ExitCode.DONE if started.well else ExitCode.USAGE
