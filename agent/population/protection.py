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

    patterns:  those on addresses and user names, by the line that is kept on record (agent/upstream/protected.py)
    """

    selection: Selection
    patterns: dict[str, re.Pattern[str]]

    @property
    def empty(self) -> bool:
        """Whether nobody is protected."""
        return not self.lines

    @property
    def lines(self) -> frozenset[str]:
        """Every line, in one spelling."""
        return frozenset({*self.patterns, *self.selection.dns, *map(_spelled, self.selection.patterns)})

    def of_user(self, normalised_dn: str, *names: str | None) -> set[str]:
        """Return the lines that protect a user; `names` are addresses and user names."""
        keys = [address_key(name) for name in names if name]
        lines = {line for line, pattern in self.patterns.items() if any(pattern.fullmatch(key) for key in keys)}
        return lines | ({normalised_dn} & set(self.selection.dns))

    def of_group(self, normalised_dn: str, name: str) -> set[str]:
        """Return the lines that protect a group."""
        lines = {_spelled(item) for item in self.selection.patterns if item[1].fullmatch(name.casefold())}
        return lines | ({normalised_dn} & set(self.selection.dns))


def _spelled(pattern: tuple[str, re.Pattern[str]]) -> str:
    prefix, _, glob = pattern[0].casefold().partition(":")
    return f"{prefix}:{glob.strip()}"


def protection_of(lines: Iterable[str]) -> Protection:
    """Read [guard] protected. Raises UsageProblem."""
    patterns, others = {}, []
    for written in lines:
        if not written.lower().startswith(_PATTERN_PREFIX):
            others.append(written)
            continue
        glob = written[len(_PATTERN_PREFIX) :].strip()
        if not glob:
            raise UsageProblem(f'{_WHERE}: "{written}" has no pattern; write it like "mail:*@board.example".')
        key = address_key(glob)
        patterns[f"{_PATTERN_PREFIX}{key}"] = re.compile(fnmatch.translate(key))
    return Protection(selection_of(others, _WHERE), patterns)
