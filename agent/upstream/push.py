"""Carrying a plan out: phase after phase, several workers to a phase.

One bad object never stops the others. Systemic trouble stops everything: a refused token, a service that cannot be
reached, or one that fails most of the time. The destructive phases do not run when the constructive ones failed
beyond their error budget.
"""

from __future__ import annotations

import queue
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from agent.errors import UpstreamError, UpstreamUnreachable
from agent.plan.operations import DESTRUCTIVE, CreateUser, Operation, Phase, Subject, UpdateUser
from agent.upstream.brake import Brake, Stopped
from agent.upstream.client import ScimClient, verification
from agent.upstream.ledger import Ledger
from agent.upstream.lost_accounts import Look, look_at_accounts
from agent.upstream.recognition import recognise
from agent.upstream.refusal import NameTaken, Refused
from agent.upstream.sending import send
from agent.upstream.service import Service
from agent.upstream.taken_names import settle_taken_names
from agent.upstream.unconfirmed import look_for_what_was_left_behind

BUDGET_NUMBER = 10
BUDGET_SHARE = 0.10
_WATCHED = 20  # the last outcomes that are watched for systemic trouble
_TOO_MANY = 0.5
_SHOWN = 100


class Result(StrEnum):
    """How one operation ended. What was interrupted may have taken effect, in part or whole."""

    DONE = "done"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One finished operation.

    detail:  what was done, or the reason of the refusal
    writes:  how many requests were sent for it that may have changed something, repeated ones too
    """

    operation: Operation
    result: Result
    detail: str
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused object, for reports."""

    verb: str
    label: str
    reason: str


@dataclass(slots=True)
class PushReport:
    """What a push did.

    done:               operations that succeeded, by verb
    rejected:           the first refusals, rejections counts them all
    tolerated:          refusals that are in nobody's way: the service does not want an external user
    trouble:            why the whole push was stopped
    removals_withheld:  why the destructive phases did not run although they were allowed to
    """

    done: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejection] = field(default_factory=list)
    rejections: int = 0
    tolerated: int = 0
    requests: int = 0
    writes: int = 0
    trouble: UpstreamError | None = None
    stopped: bool = False
    removals_withheld: str = ""


class Push:
    """One push.

    on_done:       is called for every operation that ends, if anything was sent for it or it came to its end, by one
                   worker at a time
    before_write:  is called before each request that may change something; what it raises keeps that request back and
                   ends the push
    """

    def __init__(
        self,
        service: Service,
        ledger: Ledger,
        stop: threading.Event,
        on_done: Callable[[Outcome], None],
        brake: Brake | None = None,
        before_write: Callable[[Operation], None] = lambda _operation: None,
    ) -> None:
        self._service = service
        self._ledger = ledger
        self._stop = stop
        self._halt = threading.Event()  # no new operation begins
        self._brake = brake or Brake(stop)
        self._on_done = on_done
        self._before_write = before_write
        self._lock = threading.Lock()
        self._recent: deque[bool] = deque(maxlen=_WATCHED)
        self._defect: BaseException | None = None
        self._report = PushReport()
        self._name_taken: list[CreateUser | UpdateUser] = []
        self._context: ssl.SSLContext | None = None

    def look_at_accounts(self, *, asked: bool, restored: bool = False) -> bool:
        """Look whether the accounts of the ledger are still there, and in use: what is to be pushed follows from that.

        asked:     somebody asks for everything that was refused to be tried again, invitations too
        restored:  the ledger is older than what stands there

        Returns whether it could be looked.
        """
        if not self._ledger.has_users:
            return True
        look = Look(ended=False)
        with self._client() as client:
            look = look_at_accounts(client, self._ledger, asked=asked, restored=restored)
            for subject, refused in look.gone:
                self._tell(CreateUser.verb, subject, refused)
        return look.ended

    def look_for_what_was_left_behind(self) -> None:
        """Find out what became of creates whose answer was lost and that nobody is going to repeat."""
        if not self._ledger.creates.left_behind():
            return
        with self._client() as client:
            for verb, create, refused in look_for_what_was_left_behind(client, self._ledger):
                self._tell(verb, create.subject, refused)

    def _tell(self, verb: str, subject: Subject, refused: Refused) -> None:
        """Report what came to light before the first operation; it is in nobody's way."""
        self._report.rejections += 1
        self._report.tolerated += 1
        if len(self._report.rejected) < _SHOWN:
            self._report.rejected.append(Rejection(verb, subject.label, str(refused)))

    def recognise(self) -> bool:
        """After the address of the upstream has changed: find out what of the ledger stands there, or stop the push.

        Returns whether that is known now.
        """
        with self._client() as client:
            recognise(client, self._ledger)
        return not self._halted()

    def run(self, operations: Callable[[Phase], Iterator[Operation]], *, removals_allowed: bool) -> PushReport:
        """Carry out every phase in order. `operations` is asked for a phase when its turn comes.

        A defect in this program is raised here after the workers have ended; everything else is in the report.
        """
        constructive = 0
        for phase in Phase:
            if self._halted():
                break
            if phase in DESTRUCTIVE:
                if not removals_allowed or self._over_budget(constructive):
                    break
                self._phase(operations(phase))
            else:
                constructive += self._phase(operations(phase))
                self._settle_taken_names()
        self._report.stopped = self._stop.is_set()
        if self._defect is not None:
            raise self._defect
        return self._report

    @contextmanager
    def _client(self) -> Iterator[ScimClient]:
        """Give a client outside of the workers. Systemic trouble is put into the report, and stops the push."""
        with ScimClient(self._service, self._brake, self._verification()) as client:
            try:
                yield client
            except UpstreamError as error:
                self._report.trouble = self._report.trouble or error
                self._halt.set()
            except Stopped:
                pass
            finally:
                self._report.requests += client.requests
                self._report.writes += client.writes

    def _settle_taken_names(self) -> None:
        """See agent/upstream/taken_names.py."""
        waiting, self._name_taken = self._name_taken, []
        if not waiting or self._halted():
            return
        with self._client() as client:

            def still_taken(operation: CreateUser | UpdateUser) -> bool:
                self._carry_out(client, operation)
                refused, self._name_taken = self._name_taken, []
                return bool(refused)

            for operation in settle_taken_names(client, self._ledger, waiting, still_taken):
                self._carry_out(client, operation, postpone=False)

    def _halted(self) -> bool:
        return self._halt.is_set() or self._stop.is_set()

    def _over_budget(self, constructive: int) -> bool:
        budget = max(BUDGET_NUMBER, int(BUDGET_SHARE * constructive))
        refused = self._report.rejections - self._report.tolerated
        if refused <= budget:
            return False
        self._report.removals_withheld = (
            f"{refused} of {constructive} creates, updates and additions were refused, more than the "
            f"{budget} that are tolerated. Nothing was removed; correct what the refusals name, then sync again."
        )
        return True

    def _phase(self, operations: Iterator[Operation]) -> int:
        """Share the operations of one phase among the workers. Returns how many were begun."""
        first = next(operations, None)
        if first is None:
            return 0
        waiting: queue.Queue[Operation | None] = queue.Queue(maxsize=2 * self._service.workers)
        workers = [
            threading.Thread(target=self._work, args=(waiting,), name=f"push-{number}", daemon=True)
            for number in range(self._service.workers)
        ]
        for worker in workers:
            worker.start()
        number = 0
        try:
            for operation in _beginning_with(first, operations):
                if self._halted():
                    break
                waiting.put(operation)
                number += 1
        finally:
            for _ in workers:
                waiting.put(None)
            for worker in workers:
                worker.join()
        return number

    def _verification(self) -> ssl.SSLContext:
        """Load the authorities once for all workers, and not at all when there is nothing to send."""
        with self._lock:
            self._context = self._context or verification(self._service)
            return self._context

    def _work(self, waiting: queue.Queue[Operation | None]) -> None:
        """Take operations until there are no more. After a halt they are taken and left undone."""
        try:
            with ScimClient(self._service, self._brake, self._verification()) as client:
                try:
                    while (operation := waiting.get()) is not None:
                        if not self._halted():
                            self._carry_out(client, operation)
                finally:
                    with self._lock:
                        self._report.requests += client.requests
                        self._report.writes += client.writes
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that called run()
            with self._lock:
                self._defect = self._defect or error
            self._halt.set()
            while waiting.get() is not None:
                pass  # whoever fills the queue must not wait for a worker that is no more

    def _carry_out(self, client: ScimClient, operation: Operation, *, postpone: bool = True) -> None:
        """Carry out one operation. With `postpone`, one whose name is taken waits for the end of the phase."""
        failed_before, writes_before = client.failed, client.writes
        client.before_write = partial(self._before_write, operation)
        try:
            detail = send(client, self._ledger, operation)
        except Refused as refused:
            if postpone and isinstance(refused, NameTaken) and isinstance(operation, CreateUser | UpdateUser):
                with self._lock:
                    self._name_taken.append(operation)
                return
            if not refused.recorded:
                self._ledger.object_rejected(operation, str(refused), final=refused.final)
            outcome = Outcome(operation, Result.REJECTED, str(refused), client.writes - writes_before)
            self._finished(outcome, failed=refused.temporary)
            return
        except Exception as error:
            self._interrupted(operation, error, writes=client.writes - writes_before)
            if not isinstance(error, (Stopped, UpstreamError)):
                raise
            return
        outcome = Outcome(operation, Result.DONE, detail, client.writes - writes_before)
        self._finished(outcome, failed=client.failed > failed_before)

    def _interrupted(self, operation: Operation, error: Exception, *, writes: int) -> None:
        with self._lock:
            if isinstance(error, UpstreamError):
                self._report.trouble = self._report.trouble or error
                self._halt.set()
            if writes:
                detail = str(error) if isinstance(error, UpstreamError) else type(error).__name__
                self._on_done(Outcome(operation, Result.INTERRUPTED, detail, writes))

    def _finished(self, outcome: Outcome, *, failed: bool) -> None:
        with self._lock:
            verb = outcome.operation.verb
            if outcome.result is Result.DONE:
                self._report.done[verb] += 1
            else:
                self._report.rejections += 1
                self._report.tolerated += not failed and _is_of_an_external_user(outcome.operation)
                if len(self._report.rejected) < _SHOWN:
                    self._report.rejected.append(Rejection(verb, outcome.operation.subject.label, outcome.detail))
            self._recent.append(failed)
            if len(self._recent) == _WATCHED and sum(self._recent) >= _TOO_MANY * _WATCHED:
                self._report.trouble = self._report.trouble or UpstreamUnreachable(
                    f"The upstream {self._service.base} failed {sum(self._recent)} of the last {_WATCHED} operations "
                    "with server errors or lost answers. The push was stopped; the next cycle goes on from here."
                )
                self._halt.set()
            self._on_done(outcome)


def _is_of_an_external_user(operation: Operation) -> bool:
    return isinstance(operation, CreateUser) and operation.address.external


def _beginning_with(first: Operation, rest: Iterator[Operation]) -> Iterator[Operation]:
    yield first
    yield from rest
