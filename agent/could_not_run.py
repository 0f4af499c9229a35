"""A cycle that could not run to its end leaves no report. That, and why, is remembered until one does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from agent.errors import ExitCode, RollcallError
from agent.state.database import State
from agent.state.facts import fact_of, write_fact

_FACT = "why no cycle can run"
_DEFECT = "It ended with a defect in Rollcall; the log tells more. Please report it; the next cycle tries again."


@dataclass(frozen=True, slots=True)
class CouldNotRun:
    """What ended the last cycle. `since`: when the first of those that could not run, one after the other, ended."""

    since: str
    at: str
    exit_code: int
    reason: str

    @property
    def sentence(self) -> str:
        """Say it, with what to do."""
        return f"No cycle can run since {self.since}, and the last one was tried at {self.at}. {self.reason}"


@contextlib.contextmanager
def remembered(state: State) -> Iterator[None]:
    """Remember what ends a cycle, where the state can be written; it goes on its way."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, RollcallError)
        exit_code = error.exit_code if isinstance(error, RollcallError) else ExitCode.USAGE
        with contextlib.suppress(RollcallError), state.write() as connection:
            now, before = datetime.now(UTC).isoformat(timespec="seconds"), why_no_cycle_runs(connection)
            # What may be in the words of a defect nobody knows.
            what = CouldNotRun(before.since if before else now, now, int(exit_code), str(error) if known else _DEFECT)
            write_fact(connection, _FACT, json.dumps(asdict(what)))
        raise


def why_no_cycle_runs(connection: Connection) -> CouldNotRun | None:
    """Return what ended the last cycle; None if it ran."""
    told = fact_of(connection, _FACT)
    return CouldNotRun(**json.loads(told)) if told else None


def one_has_run(connection: Connection) -> None:
    """Forget what was wrong."""
    if fact_of(connection, _FACT):
        write_fact(connection, _FACT, "")
