"""How long a cycle waits for its notices to arrive, whatever happens to the clock meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import count

import pytest

from agent.connection import connect
from agent.observe.message import Message
from agent.observe.telling import tell_of_cycle
from agent.plan.guard import Verdict
from agent.state.database import State, open_state
from agent.upstream.push import PushReport
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService


class Slow:
    """A channel that takes a moment."""

    name = "webhook"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        time.sleep(0.5)
        self.sent.append(message)


class Jumping(datetime):
    """A clock that is set an hour forward whenever somebody looks at it."""

    _hours = count()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(hours=next(cls._hours))


@pytest.fixture
def state(agent: Agent, scim: ScimService) -> Iterator[State]:
    agent.configure(scim)
    agent.state.mkdir()
    state = open_state(agent.state)
    yield state
    state.close()


def test_a_clock_that_is_set_forward_meanwhile_leaves_no_notice_behind(
    agent: Agent, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    monkeypatch.setattr("agent.observe.telling.channels_of", lambda _notice: [slow])
    monkeypatch.setattr("agent.observe.telling.datetime", Jumping)

    undelivered = tell_of_cycle(connect(agent.configuration), state, Verdict(("too much",)), PushReport())

    assert undelivered == []
    assert [message.cause for message in slow.sent] == ["guard"]
