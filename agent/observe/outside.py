"""The daemon as it is seen from outside, by HTTP: /healthz, /readyz and /metrics."""

from __future__ import annotations

import contextlib
import errno
import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

import structlog

from agent.connection import Connection
from agent.errors import RollcallError, StateProblem
from agent.notices import CANNOT_BE_ASKED
from agent.observe.endpoint import Answer, Endpoint
from agent.observe.figures import Figures, read_figures
from agent.observe.health import Judgement, life_of, readiness_of
from agent.observe.metrics import CONTENT_TYPE, Seen, exposition
from agent.observe.pulse import Pulse
from agent.state.database import State, state_to_look_at
from agent.state.facts import fact_of, write_fact

log = structlog.get_logger()

_KEPT = 1.0  # seconds for which the figures are good: however many ask, the state is not asked more often
_PATIENCE = 5.0  # seconds to wait for another one who is reading them
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
_UNREADABLE = "The state cannot be read now; the log tells the reason."


class Outside:
    """Answers questions about one daemon. The state is read over connections of its own, never those of a cycle.

    pulse:       how the cycles go
    state:       is told, for `rollcall status`, why nobody can ask
    next_cycle:  says when the schedule begins the next one
    """

    def __init__(self, pulse: Pulse, state: State, next_cycle: Callable[[], datetime | None]) -> None:
        self._pulse, self._state, self._next_cycle = pulse, state, next_cycle
        self._endpoint: Endpoint | None = None
        self._listen = ""
        self._trouble = ""
        self._reading = threading.Lock()
        self._figures: tuple[float, Figures] | None = None

    def open(self, connection: Connection) -> None:
        """Answer for this connection, at the address that its settings name. What is in the way is told, not raised."""
        self._connection, self._figures = connection, None
        if self._endpoint is not None and connection.settings.health.listen == self._listen:
            return
        self._stop_listening()
        self._listen = connection.settings.health.listen
        self._note(self._try_to_listen())

    def close(self) -> None:
        """Answer nobody any more: the daemon ends."""
        self._stop_listening()
        self._note("")

    def with_trouble(self, status: str) -> str:
        """Add to a line about the daemon that it cannot be asked, if it cannot."""
        return f"{status}; {self._trouble}" if self._trouble else status

    def _note(self, trouble: str) -> None:
        self._trouble = trouble
        with contextlib.suppress(RollcallError), self._state.write() as transaction:
            if (fact_of(transaction, CANNOT_BE_ASKED) or "") != trouble:
                write_fact(transaction, CANNOT_BE_ASKED, trouble)

    def _stop_listening(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def _try_to_listen(self) -> str:
        health = self._connection.settings.health
        if health.address is None:
            return ""
        try:
            self._endpoint = Endpoint(health.address, self._answer).start()
        except OSError as error:
            trouble = f"health.listen: {_in_the_way(self._listen, error)} All else works; a reload tries again."
            log.warning("nobody can ask how the agent goes", reason=trouble)
            return trouble
        log.info("the agent can be asked how it goes", listen=self._listen)
        if not health.for_this_machine_only:
            log.warning("whoever reaches this address can ask how the agent goes, unencrypted", listen=self._listen)
        return ""

    def _answer(self, path: str, as_json: bool) -> Answer | None:  # noqa: FBT001 - the type of an answering function
        try:
            match path:
                case "/healthz":
                    return _healthz(self._life(), as_json=as_json)
                case "/readyz":
                    return _readyz(self._readiness(self._read()), as_json=as_json)
                case "/metrics":
                    return Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics())
        except StateProblem:
            return _readyz((Judgement("state", well=False, sentence=_UNREADABLE),), as_json=as_json)
        except Exception:
            log.exception("an answer ended with a defect in Rollcall; please report it", path=path)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT, b"A defect in Rollcall; the log tells more.\n")
        return None

    def _life(self) -> Judgement:
        return life_of(self._pulse, self._connection.settings.schedule, self._next_cycle())

    def _readiness(self, figures: Figures) -> tuple[Judgement, ...]:
        return readiness_of(figures, self._connection.settings, self._pulse.going_on_since)

    def _metrics(self) -> bytes:
        figures: Figures | None = None
        with contextlib.suppress(StateProblem):
            figures = self._read()
        connection = self._connection
        readiness = self._readiness(figures) if figures else ()
        alive = self._life().well
        return exposition(Seen(connection, self._pulse.counts.tally(), figures, alive, readiness))

    def _read(self) -> Figures:
        """Return the figures, a moment old at most. Raises StateProblem."""
        if not self._reading.acquire(timeout=_PATIENCE):
            raise StateProblem(_UNREADABLE)
        try:
            if self._figures is None or time.monotonic() - self._figures[0] > _KEPT:
                connection = self._connection
                with state_to_look_at(connection.settings.agent.state_dir) as state, state.read() as reader:
                    self._figures = time.monotonic(), read_figures(reader, connection)
            return self._figures[1]
        except StateProblem as error:
            log.warning("the state cannot be read for somebody who asks how the agent goes", reason=str(error))
            raise
        finally:
            self._reading.release()


def _healthz(life: Judgement, *, as_json: bool) -> Answer:
    document = {"alive": life.well, "sentence": life.sentence}
    return _answer(life.sentence, document, well=life.well, as_json=as_json)


def _readyz(judgements: tuple[Judgement, ...], *, as_json: bool) -> Answer:
    ready = all(one.well for one in judgements)
    lines = "\n".join(f"{one.about}: {'ok' if one.well else 'not ready'}. {one.sentence}" for one in judgements)
    parts = [
        {
            "about": one.about,
            "ready": one.well,
            "sentence": one.sentence,
            "since": one.since.isoformat() if one.since else None,
        }
        for one in judgements
    ]
    return _answer(lines, {"ready": ready, "parts": parts}, well=ready, as_json=as_json)


def _answer(text: str, document: object, *, well: bool, as_json: bool) -> Answer:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps(document, indent=1) if as_json else text
    return Answer(status, _JSON if as_json else _TEXT, f"{body}\n".encode())


def _in_the_way(listen: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"{listen} is taken by another program, perhaps by another Rollcall on this machine: nobody can ask this "
            'one how it goes. Give each a port of its own, or turn it off with listen = "".'
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{listen} is no address of this machine. Write one that is, like 127.0.0.1:9464."
    if error.errno == errno.EACCES:
        return f"this account may not listen at {listen}. Take a port above 1023."
    return f"{listen} cannot be listened at ({error.strerror}). Name another address."
