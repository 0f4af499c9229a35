"""The guide for administrators, as its readers use it: what it tells to type, taken out of the documents."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "packaging" / "guide"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block: the heading it stands under, the line before it, its language, and its text."""

    heading: str
    before: str
    language: str
    text: str


def blocks_of(document: str) -> list[Block]:
    """Return the code blocks of a document of the guide, in their order."""
    text = (GUIDE / document).read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        outside = _BLOCK.sub("", text[: match.start()])
        heading = _HEADING.findall(outside)[-1]
        before = next(line for line in reversed(outside.splitlines()) if line.strip())
        found.append(Block(heading, before, match[1], match[2]))
    return found


def block_of(document: str, heading: str, language: str, before: str = "") -> str:
    """Return the text of the one block under this heading; `before`: that has this in the line before it."""
    (text,) = (
        block.text
        for block in blocks_of(document)
        if (block.heading, block.language) == (heading, language) and before in block.before
    )
    return text


def run_as_told(commands: str, instead: Mapping[str, str], directory: Path, **environment: str) -> str:
    """Run a block of commands as a shell does that stops at the first one to fail; return what it printed.

    instead:  what of the text is another thing here: an address, a place, what is asked for on a terminal
    """
    for told, here in instead.items():
        assert told in commands, f"the guide does not say {told} any more"
        commands = commands.replace(told, here)
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=directory, env=environment or None, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def commands_of(block: Block) -> list[list[str]]:
    """Return the commands of a block for the shell, as words, without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]
