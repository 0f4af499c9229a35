"""Reading the directory before anything is written: which groups there are, and the e-mail domains of their members.

The agent's own cycle does it, up to the push, on a state that is thrown away.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from agent.cli.init.draft import Draft
from agent.cli.terminal import progress_bars
from agent.planning import resolve
from agent.population.overview import by_domain
from agent.state.database import State, open_state
from agent.state.tables import desired_group, desired_member, entry
from connectors.base import Completeness


@dataclass(frozen=True, slots=True)
class Group:
    """A group that could be selected."""

    dn: str
    name: str
    people: int


class Survey:
    """Reads what the draft has come to; the second time only what changed since."""

    def __init__(self, state: State, directory: Path) -> None:
        self._state = state
        self._directory = directory

    def read(self, draft: Draft) -> list[str]:
        """Read the directory, and return why that was not all of it, if it was not. Raises RollcallError."""
        with progress_bars(shown=True) as progress:
            resolved = resolve(draft.connection(self._directory), self._state, progress=progress)
        return [one.reason for one in resolved.outcomes if one.completeness is not Completeness.COMPLETE]

    def groups(self) -> list[Group]:
        """Return the groups that the scope of the draft selects, by name."""
        query = (
            select(entry.c.dn, desired_group.c.display_name, func.count(desired_member.c.user_id).label("people"))
            .join(desired_group, desired_group.c.entry_id == entry.c.id)
            .outerjoin(desired_member, desired_member.c.group_id == entry.c.id)
            .group_by(entry.c.id, entry.c.dn, desired_group.c.display_name)
            .order_by(func.lower(desired_group.c.display_name), entry.c.dn)
        )
        with self._state.read() as reader:
            return [Group(row.dn, row.display_name or row.dn, row.people) for row in reader.execute(query)]

    def domains(self) -> list[tuple[str, int]]:
        """Return the e-mail domains of the people in these groups, the most frequent first."""
        counts: Counter[str] = Counter()
        with self._state.read() as reader:
            for row in by_domain(reader):
                counts[row["domain"]] += row["users"]
        return [(domain, number) for domain, number in counts.most_common() if domain]


@contextmanager
def survey() -> Iterator[Survey]:
    """Give a survey; what it read is forgotten at the end."""
    with tempfile.TemporaryDirectory(prefix="rollcall-") as scratch:
        state = open_state(Path(scratch))
        try:
            yield Survey(state, Path(scratch))
        finally:
            state.close()
