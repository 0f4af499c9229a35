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
    """The users and groups that an administrator protects by name."""

    selection: Selection
    patterns: tuple[re.Pattern[str], ...]

    @property
    def empty(self) -> bool:
        """Whether nobody is protected."""
        return not (self.patterns or self.selection.dns or self.selection.patterns)

    def of_user(self, normalised_dn: str, *names: str) -> bool:
        """Tell whether a user is protected; `names` are addresses and user names."""
        keys = [address_key(name) for name in names]
        return normalised_dn in self.selection.dns or any(
            pattern.fullmatch(key) for pattern in self.patterns for key in keys
        )

    def of_group(self, normalised_dn: str, name: str) -> bool:
        """Tell whether a group is protected."""
        return self.selection.selects(normalised_dn, name)


def protection_of(lines: Iterable[str]) -> Protection:
    """Read [guard] protected. Raises UsageProblem."""
    patterns, others = [], []
    for written in lines:
        if not written.lower().startswith(_PATTERN_PREFIX):
            others.append(written)
            continue
        glob = written[len(_PATTERN_PREFIX) :].strip()
        if not glob:
            raise UsageProblem(f'{_WHERE}: "{written}" has no pattern; write it like "mail:*@board.example".')
        patterns.append(re.compile(fnmatch.translate(address_key(glob))))
    return Protection(selection_of(others, _WHERE), tuple(patterns))
