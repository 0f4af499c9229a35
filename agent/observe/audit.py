"""The audit trail: a record for every operation that writes upstream, appended and never changed (invariant 14).

Before the first request of an operation is sent, its record is in the state (`pending_write`); afterwards it goes into
the file with the outcome. So there is no write without a record, whenever the agent is killed or the disk is full: what
is still in the state when the next push begins is written into the file then.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson
from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from agent.errors import StateProblem
from agent.observe.audit_file import AuditFile
from agent.observe.audit_record import Background, Record, begun, cut_off, ended
from agent.observe.audit_search import records_of
from agent.plan.operations import Operation
from agent.settings import AuditSettings
from agent.state.database import State
from agent.state.tables import cycle, pending_write
from agent.state.vouched import vouched_time
from agent.upstream.push import Outcome


@dataclass(frozen=True, slots=True)
class _Begun:
    operation: Operation
    record: Record


class AuditTrail:
    """The trail of one push. Use as a context manager; its methods may be called by any push worker.

    They do their work in a writing transaction, which lets in one at a time.
    """

    def __init__(self, state: State, directory: Path, settings: AuditSettings, background: Background) -> None:
        self._state = state
        self._file = _file(state, directory, settings)
        self._background = background
        self._begun: dict[int, _Begun] = {}
        self._number = 0
        self._broken: StateProblem | None = None

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        # Of what was begun and never ended, nothing was sent after all.
        if self._begun:
            with contextlib.suppress(StateProblem):
                self._forget_unsent()
        self._file.__exit__()

    def before_write(self, operation: Operation) -> None:
        """Put on record what is about to be written, once an operation. Raises StateProblem; then it must not be."""
        if self._broken is not None:
            raise self._broken
        if id(operation) not in self._begun:
            self._begin(operation)

    def done(self, outcome: Outcome) -> None:
        """Append the record of an operation with its outcome. Raises StateProblem, and takes no other from then on."""
        operation = outcome.operation
        if id(operation) not in self._begun and self._broken is None:
            self._begin(operation)  # nothing was sent; but a record is counted in the state before it is in the file
        known = self._begun.pop(id(operation), None)
        with self._state.write() as transaction:
            record = ended(transaction, known.record if known else self._describe(transaction, operation), outcome)
            try:
                self._file.append(_line(record))
            except StateProblem as problem:
                # Its record stays in the state, for the next push.
                transaction.execute(update(pending_write).where(_is(record)).values(record=_line(record).decode()))
                self._broken = problem
            else:
                if known:
                    transaction.execute(delete(pending_write).where(_is(record)))
        if self._broken is not None:
            raise self._broken

    def _forget_unsent(self) -> None:
        with self._state.write() as transaction:
            for left in self._begun.values():
                transaction.execute(delete(pending_write).where(_is(left.record)))

    def _begin(self, operation: Operation) -> None:
        with self._state.write() as transaction:
            record = self._describe(transaction, operation)
            row = {key: record[key] for key in ("cycle_id", "number")}
            transaction.execute(insert(pending_write).values(**row, record=_line(record).decode()))
        self._begun[id(operation)] = _Begun(operation, record)

    def _describe(self, transaction: Connection, operation: Operation) -> Record:
        self._number += 1
        # A state in which fewer are noted than the trail has is a back-up that was made in the middle of the cycle.
        of_cycle = update(cycle).where(cycle.c.id == self._background.cycle_id)
        transaction.execute(of_cycle.values(records=self._number))
        return begun(transaction, self._background, operation, self._number)


def recover(state: State, directory: Path, settings: AuditSettings) -> None:
    """Bring into the file what an agent that was ended, or could not write, has left in the state."""
    with state.read() as reader:
        left = [orjson.loads(text) for text in reader.execute(select(pending_write.c.record)).scalars()]
    if not left:
        return
    cycles = {record["cycle_id"] for record in left}
    written = {
        (record.get("cycle_id"), record.get("number"))
        for record in records_of(directory, [])
        if record.get("cycle_id") in cycles
    }
    with _file(state, directory, settings) as file:
        for record in left:
            if (record["cycle_id"], record["number"]) not in written:
                file.append(_line(cut_off(record)))
    with state.write() as transaction:
        for record in left:
            transaction.execute(delete(pending_write).where(_is(record)))


def _file(state: State, directory: Path, settings: AuditSettings) -> AuditFile:
    with state.read() as reader:
        return AuditFile(directory, settings.max_size, settings.keep, vouched_time(reader))


def _is(record: Record) -> ColumnElement[bool]:
    return and_(pending_write.c.cycle_id == record["cycle_id"], pending_write.c.number == record["number"])


def _line(record: Record) -> bytes:
    try:
        return orjson.dumps(record) + b"\n"
    except TypeError:  # half a character, as a connector may hand on what it cannot decode
        return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
