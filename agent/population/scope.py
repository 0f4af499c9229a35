"""Which groups are selected."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

from agent.errors import UsageProblem
from agent.settings import ScopeSettings
from connectors.distinguished_name import DistinguishedNameError, normalise

_PATTERN_PREFIX = "name:"


@dataclass(frozen=True, slots=True)
class Scope:
    """The selection: normalised DNs, and patterns on the group's name, compared without case."""

    dns: dict[str, str]  # normalised → as the administrator wrote it
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    nested: bool

    def selects(self, normalised_dn: str, name: str) -> bool:
        """Tell whether a group is selected."""
        return normalised_dn in self.dns or any(pattern.fullmatch(name.casefold()) for _, pattern in self.patterns)

    def unmatched(self, groups: list[tuple[str, str]]) -> list[str]:
        """Return what the administrator wrote and no group of `groups` (normalised DN, name) answers to."""
        present = {dn for dn, _ in groups}
        names = [name.casefold() for _, name in groups]
        missing = [written for dn, written in self.dns.items() if dn not in present]
        missing += [written for written, pattern in self.patterns if not any(pattern.fullmatch(name) for name in names)]
        return missing


def scope_of(settings: ScopeSettings) -> Scope:
    """Read the settings. Raises UsageProblem for a text that is neither a DN nor a pattern."""
    dns: dict[str, str] = {}
    patterns = []
    for written in settings.groups:
        if written.lower().startswith(_PATTERN_PREFIX):
            glob = written[len(_PATTERN_PREFIX) :].strip()
            if not glob:
                raise UsageProblem(f'scope.groups: "{written}" has no pattern; write it like "name:app-*".')
            patterns.append((written, re.compile(fnmatch.translate(glob.casefold()))))
            continue
        try:
            dns[normalise(written)] = written
        except DistinguishedNameError as error:
            raise UsageProblem(
                f'scope.groups: "{written}" is not a distinguished name ({error}). Write a DN like '
                '"cn=staff,ou=Groups,dc=corp,dc=example", or "name:" and a pattern like "name:app-*".'
            ) from None
    return Scope(dns, tuple(patterns), nested=settings.nested == "flatten")
