"""Who is never taken out, because [guard] protected names them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent.domain_names import address_key
from agent.errors import UsageProblem
from agent.population.scope import Selection, selection_of

_PATTERN_PREFIX = "mail:"
_WHERE = "guard.protected"


@dataclass(frozen=True, slots=True)
class Protection:
    """The users and groups that an administrator protects by name.

    lines:     each in the spelling that is kept on record (agent/upstream/protected.py) → as it was written
    patterns:  those on addresses and user names, by line
    """

    selection: Selection
    patterns: dict[str, re.Pattern[str]]
    lines: dict[str, str]

    @property
    def empty(self) -> bool:
        """Whether nobody is protected."""
        return not self.lines

    def of_user(self, normalised_dn: str, *names: str | None) -> set[str]:
        """Return the lines that protect a user; `names` are addresses and user names."""
        keys = [address_key(name) for name in names if name]
        lines = {line for line, pattern in self.patterns.items() if any(pattern.fullmatch(key) for key in keys)}
        return lines | ({normalised_dn} & set(self.selection.dns))

    def of_group(self, normalised_dn: str, name: str) -> set[str]:
        """Return the lines that protect a group."""
        lines = {
            _spelled(written) for written, pattern in self.selection.patterns if pattern.fullmatch(name.casefold())
        }
        return lines | ({normalised_dn} & set(self.selection.dns))


def _spelled(written: str) -> str:
    prefix, _, glob = written.casefold().partition(":")
    return f"{prefix}:{glob.strip()}"


def protection_of(lines: Iterable[str]) -> Protection:
    """Read [guard] protected. Raises UsageProblem."""
    patterns, others, spelled = {}, [], dict[str, str]()
    for written in lines:
        if not written.lower().startswith(_PATTERN_PREFIX):
            others.append(written)
            continue
        glob = written[len(_PATTERN_PREFIX) :].strip()
        if not glob:
            raise UsageProblem(f'{_WHERE}: "{written}" has no pattern; write it like "mail:*@board.example".')
        key = address_key(glob)
        patterns[f"{_PATTERN_PREFIX}{key}"] = re.compile(fnmatch.translate(key))
        spelled[f"{_PATTERN_PREFIX}{key}"] = written
    selection = selection_of(others, _WHERE)
    spelled |= selection.dns | {_spelled(written): written for written, _ in selection.patterns}
    return Protection(selection, patterns, spelled)
