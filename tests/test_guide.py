"""The guide for administrators says what is true of the program: commands, links, words."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from agent.cli.main import command_parser
from tests.guide import GUIDE, blocks_of, commands_of

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("accounts.md", "guard.md", "install.md", "keeping.md")
WRITTEN_ELSEWHERE = {"windows.md"}
TRIED_WITH_SERVERS = {"accounts.md"}  # what it quotes is looked for in what the agent prints
_LINK = re.compile(r"\]\(([^)\s]*)\)")
_QUOTED = re.compile(r'"([^"]*)"')


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_the_agent_in_the_guide_is_one(document: str) -> None:
    parser = command_parser()
    commands = [words for block in blocks_of(document) if block.language == "sh" for words in commands_of(block)]

    for words in commands:
        if "rollcall" in words and words[0] in {"rollcall", "systemd-run", "with_secrets"}:
            parser.parse_args(words[words.index("rollcall") + 1 :])

    assert commands


@pytest.mark.parametrize("document", [*DOCUMENTS, "../../README.md"])
def test_every_link_of_the_guide_leads_somewhere(document: str) -> None:
    here = (GUIDE / document).resolve()
    for link in _LINK.findall(here.read_text(encoding="utf-8")):
        target, _, section = link.partition("#")
        if target.startswith("https:") or Path(target).name in WRITTEN_ELSEWHERE:
            continue
        there = (here.parent / target).resolve() if target else here
        assert there.exists(), link
        assert not section or section in sections_of(there), link


@pytest.mark.parametrize("document", sorted({*DOCUMENTS} - TRIED_WITH_SERVERS))
def test_what_the_guide_says_that_rollcall_says_it_does_say(document: str) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", (GUIDE / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    quoted = [" ".join(words.split()) for words in _QUOTED.findall(text)]

    assert [words for words in quoted if not said_somewhere(words)] == []


def test_the_guide_that_the_package_speaks_of_is_there() -> None:
    before = (ROOT / "packaging" / "linux" / "preinst").read_text(encoding="utf-8")
    ((document, section),) = re.findall(r'/usr/share/doc/rollcall/guide/([\w.]+), \\"([^"]*)\\"', before)

    assert f"## {section}\n" in (GUIDE / document).read_text(encoding="utf-8")


def said_somewhere(words: str) -> bool:
    """Whether a message of the program has these words."""
    return any(words in message for message in messages())


@cache
def messages() -> tuple[str, ...]:
    """Every text in the program, with a gap where a value comes in."""
    found = []
    for folder in ("agent", "connectors"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    texts = [part.value if isinstance(part, ast.Constant) else "\0" for part in node.values]
                    found.append("".join(str(text) for text in texts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


def sections_of(document: Path) -> set[str]:
    """The anchors of the headings, as they are made of them on the web."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
