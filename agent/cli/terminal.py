"""What the commands share in speaking to a person or a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from agent.cycle_report import CycleReport
from agent.errors import ExitCode
from agent.observe.progress import Progress
from agent.plan.plan import Plan
from agent.plan.removals import causes_of


def console() -> Console:
    """Return the console for standard output; without a terminal it writes plain, unwrapped lines."""
    return Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def harmless(cell: object) -> object:
    """Return a cell of a table as a spreadsheet may have it."""
    # It would run a cell that begins like a formula; directory values are not ours to trust.
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def printable(text: str) -> str:
    """Return a text without what would steer a terminal; names in a directory are not ours to trust."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def print_report(out: Console, report: CycleReport) -> None:
    """Print a cycle in a few lines: what was done first, then what has to be known."""
    counts = report.counts
    for source in report.sources:
        out.print(
            f"source {source['name']}: {source['completeness']} {source['extent']} read, {source['seen']} entries, "
            f"{source['changed']} changed, {source['gone']} gone"
        )
    done = {verb: number for verb, number in counts.items() if verb not in _NOT_VERBS and number}
    if done:
        out.print("pushed: " + ", ".join(f"{verb} {number}" for verb, number in done.items()))
    elif not counts["planned"]:
        out.print(nothing_to_do(all_read=all(source["completeness"] == "complete" for source in report.sources)))
    out.print(f"{counts['writes']} writes sent upstream, {counts['requests']} requests in all, {report.seconds:.1f} s")
    for sentence in report.sentences:
        out.print(f"- {sentence}", style="yellow")
    for sentence in report.notices:
        out.print(f"- {sentence}")
    if report.exit_code is not ExitCode.DONE:
        out.print(f"exit code {int(report.exit_code)}: {EXIT_MEANING[report.exit_code]}", style="bold")


def nothing_to_do(*, all_read: bool) -> str:
    """Say that nothing differs, and of what that is known."""
    return f"nothing to do: the upstream is equal to {'' if all_read else 'what could be read of '}the directory"


def print_plan(out: Console, plan: Plan, *, all_read: bool, removals_shown: int = 50) -> None:
    """Print a plan, its removals first: their causes, then each of them."""
    if plan.empty:
        out.print(nothing_to_do(all_read=all_read))
        return
    for found in causes_of(plan.removals):
        out.print(f"  {found.sentence}", style="bold red")
    for operation in plan.removals[:removals_shown]:
        members = getattr(operation, "members", None)
        cause = getattr(operation, "cause", "")
        extent = (
            f": {len(members)} member{'' if len(members) == 1 else 's'}" if members else f" ({cause})" if cause else ""
        )
        out.print(f"  {operation.verb} {operation.subject.label}{extent}", style="red")
    if len(plan.removals) > removals_shown:
        out.print(f"  … and {len(plan.removals) - removals_shown} removals more")
    for verb, number in plan.operations.items():
        out.print(f"{verb}: {number}")
    out.print(f"memberships: {plan.joining} to add, {plan.leaving} to remove")


@contextmanager
def progress_bars(*, shown: bool) -> Iterator[Progress]:
    """Give a Progress that draws bars on standard error; one that shows nothing when there is no terminal."""
    err = Console(stderr=True)
    if not shown or not err.is_terminal:
        yield Progress()
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Bars(*columns, console=err, transient=True) as bars:
        yield _Bars(bars)


class _Bars(Progress):
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._reading: dict[str, TaskID] = {}
        self._pushing: dict[str, TaskID] = {}

    def reading(self, source: str, seen: int) -> None:
        if source not in self._reading:
            self._reading[source] = self._bars.add_task(f"reading {source}", total=None)
        self._bars.update(self._reading[source], completed=seen)

    def planned(self, operations: dict[str, int]) -> None:
        for task in self._reading.values():
            self._bars.update(task, total=self._bars.tasks[task].completed)
        for verb, number in operations.items():
            self._pushing[verb] = self._bars.add_task(verb, total=number)

    def pushed(self, verb: str, label: str, result: str) -> None:
        del label, result
        # What only came to light during the push has no bar.
        if verb in self._pushing:
            self._bars.advance(self._pushing[verb])


_NOT_VERBS = frozenset({"planned", "requests", "writes", "rejected", "problems", "removals held"})
EXIT_MEANING = {
    ExitCode.DONE: "done",
    ExitCode.REJECTED_OBJECTS: "done, except for the objects named above",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.GUARD: "a guard holds removals back; everything else was done",
    ExitCode.SOURCE_INCOMPLETE: "a source could not be read completely; what it did not show was left alone",
    ExitCode.UPSTREAM: "the upstream is unreachable or refuses the credentials",
}
