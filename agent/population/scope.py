"""Which groups are selected."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from agent.errors import UsageProblem
from agent.settings import ScopeSettings
from connectors.distinguished_name import DistinguishedNameError, normalise

_PATTERN_PREFIX = "name:"


@dataclass(frozen=True, slots=True)
class Selection:
    """Groups as an administrator names them: normalised DNs, and patterns on the name, compared without case."""

    dns: dict[str, str]  # normalised → as the administrator wrote it
    patterns: tuple[tuple[str, re.Pattern[str]], ...]

    def selects(self, normalised_dn: str, name: str) -> bool:
        """Tell whether a group is selected."""
        return normalised_dn in self.dns or any(pattern.fullmatch(name.casefold()) for _, pattern in self.patterns)

    def lines(self, normalised_dn: str, name: str) -> list[str]:
        """Return the lines that select a group, as the administrator wrote them."""
        by_dn = [self.dns[normalised_dn]] if normalised_dn in self.dns else []
        return by_dn + [written for written, pattern in self.patterns if pattern.fullmatch(name.casefold())]

    def unmatched(self, groups: list[tuple[str, str]]) -> list[str]:
        """Return what the administrator wrote and no group of `groups` (normalised DN, name) answers to."""
        present = {dn for dn, _ in groups}
        names = [name.casefold() for _, name in groups]
        missing = [written for dn, written in self.dns.items() if dn not in present]
        missing += [written for written, pattern in self.patterns if not any(pattern.fullmatch(name) for name in names)]
        return missing


@dataclass(frozen=True, slots=True)
class Scope:
    """The selected groups, and whether the groups inside them are opened."""

    selection: Selection
    nested: bool


def scope_of(settings: ScopeSettings) -> Scope:
    """Read the settings. Raises UsageProblem for a text that is neither a DN nor a pattern."""
    return Scope(selection_of(settings.groups, "scope.groups"), nested=settings.nested == "flatten")


def selection_of(lines: Iterable[str], where: str) -> Selection:
    """Read what an administrator wrote under the setting `where`. Raises UsageProblem."""
    dns: dict[str, str] = {}
    patterns = []
    for written in lines:
        if not written.strip():
            raise UsageProblem(f'{where}: a line is empty. Write a DN, or "name:" and a pattern, or take it out.')
        if written.lower().startswith(_PATTERN_PREFIX):
            glob = written[len(_PATTERN_PREFIX) :].strip()
            if not glob:
                raise UsageProblem(f'{where}: "{written}" has no pattern; write it like "name:app-*".')
            patterns.append((written, re.compile(fnmatch.translate(glob.casefold()))))
            continue
        try:
            dns[normalise(written)] = written
        except DistinguishedNameError as error:
            raise UsageProblem(
                f'{where}: "{written}" is not a distinguished name ({error}). Write a DN like '
                '"cn=staff,ou=Groups,dc=corp,dc=example", or "name:" and a pattern like "name:app-*".'
            ) from None
    return Selection(dns, tuple(patterns))
