"""Asking on a terminal: a question, its default, a secret that is not shown, a choice among several."""

from __future__ import annotations

import getpass
import warnings
from collections.abc import Sequence

from rich.console import Console

from agent.cli.terminal import printable
from agent.errors import UsageProblem


class Questions:
    """Asks, and says what was wrong with an answer. Ctrl-C and the end of input are the caller's."""

    def __init__(self, out: Console) -> None:
        self.out = out

    def heading(self, text: str) -> None:
        """Begin a new subject."""
        self.out.print()
        self.out.print(text, style="bold")

    def say(self, text: str) -> None:
        """Tell what was found. Some of it comes from a directory."""
        self.out.print("\n".join(printable(line) for line in text.splitlines()))

    def trouble(self, text: str) -> None:
        """Tell what was wrong with an answer."""
        self.out.print("\n".join(printable(line) for line in text.splitlines()), style="yellow")

    def ask(self, question: str, default: str = "", *, optional: bool = False) -> str:
        """Return an answer; an empty one is the default."""
        shown = f"{question} [{printable(default)}]: " if default else f"{question}: "
        while True:
            answer = input(shown).strip() or default
            if answer or optional:
                return answer
            self.trouble("An answer is needed here. Ctrl-C ends without writing anything.")

    def secret(self, question: str) -> str:
        """Return what is typed, without showing it; it may be empty."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                return getpass.getpass(f"{question} (not shown): ").strip()
            except getpass.GetPassWarning:
                raise UsageProblem(
                    "This terminal cannot hide what is typed, so no secret is asked for. Use another terminal, or "
                    "write the file by hand: see agent.example.toml."
                ) from None

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return yes or no."""
        while True:
            answer = input(f"{question} [{'Y/n' if default else 'y/N'}]: ").strip().lower()
            if answer in {"", "y", "yes", "n", "no"}:
                return default if not answer else answer.startswith("y")
            self.trouble("Answer y or n.")

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """Return one of the options, by its number or as it is written."""
        for number, option in enumerate(options, start=1):
            self.say(f"  {number}  {option}")
        while True:
            answer = self.ask(question, default)
            chosen = by_number(answer, options)
            if chosen in options:
                return chosen
            self.trouble(f'"{answer}" is none of them.')
            default = answer if answer in options else default


def by_number(answer: str, options: Sequence[str]) -> str:
    """Return the option of that number, and any other answer as it is."""
    if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(options):
        return options[int(answer) - 1]
    return answer
