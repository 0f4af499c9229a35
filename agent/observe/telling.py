"""Telling of trouble: once by each channel when it begins, and once when it is over, also over restarts.

The state remembers what was told by which channel. What does not arrive is tried again in the next cycle, and said in
that cycle's report; it changes no exit code, and no cycle waits for it long.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import structlog
from sqlalchemy import ColumnElement, Row, and_, delete, insert, select, update
from sqlalchemy import Connection as Transaction

from agent.connection import Connection
from agent.errors import RollcallError
from agent.notice_settings import NoticeSettings
from agent.observe.mail import Mail
from agent.observe.message import Channel, Event, Message, NotDelivered
from agent.observe.trouble import Trouble, Troubles, over, troubles_of_cycle, troubles_of_failed_cycle
from agent.observe.webhook import Webhook
from agent.plan.guard import Verdict
from agent.state.database import State
from agent.state.tables import trouble as table
from agent.upstream.push import PushReport

_QUIET = timedelta(hours=1)  # between two versions of the same trouble
_DEADLINE = 15.0  # seconds that a cycle waits for all channels

log = structlog.get_logger()
_Row = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class _Due:
    """A message to send, and what the state then has to know."""

    message: Message
    version: str


def channels_of(notice: NoticeSettings) -> list[Channel]:
    """Return the ways that are configured."""
    channels: list[Channel] = []
    if notice.webhook_url is not None:
        channels.append(
            Webhook(notice.webhook_url, notice.webhook_body, str(notice.ca_file) if notice.ca_file else None)
        )
    if notice.smtp_host is not None:
        channels.append(Mail(notice))
    return channels


def tell_of_cycle(connection: Connection, state: State, verdict: Verdict, pushed: PushReport) -> list[str]:
    """Tell of what is wrong after a cycle. Returns what could not be delivered, in sentences."""
    channels = channels_of(connection.settings.notice)
    if not channels:
        return []
    with state.read() as reader:
        found = troubles_of_cycle(reader, connection, verdict, pushed)
    return _tell(connection, state, channels, found)


@contextlib.contextmanager
def failure_told(connection: Connection, state: State) -> Iterator[None]:
    """Tell of a cycle that cannot run to its end; what ends it goes on its way."""
    try:
        yield
    except Exception as error:
        if channels := channels_of(connection.settings.notice):
            _tell_of_failure(connection, state, channels, error)
        raise


def send_test(connection: Connection, channel: Channel) -> None:
    """Send a message that says nothing. Raises NotDelivered."""
    channel.send(Message(Event.TEST, "test", "This is a test: notices arrive.", upstream=_host_of(connection)))


def _tell_of_failure(connection: Connection, state: State, channels: Sequence[Channel], error: Exception) -> None:
    try:
        with state.read() as reader:
            found = troubles_of_failed_cycle(reader, connection, error)
        for sentence in _tell(connection, state, channels, found):
            log.warning("notice", sentence=sentence)
    except RollcallError as problem:
        # Without a state nobody could tell what was told already; the log and the exit code have it.
        log.warning("nobody was told of the cycle that could not run", reason=str(problem))


def _tell(connection: Connection, state: State, channels: Sequence[Channel], found: Troubles) -> list[str]:
    with state.write() as transaction:
        names = [channel.name for channel in channels]
        transaction.execute(delete(table).where(table.c.channel.not_in(names)))
        due = {name: _due(transaction, connection, name, found) for name in names}
    deliveries = [_Delivery(channel, due[channel.name]) for channel in channels if due[channel.name]]
    for delivery in deliveries:
        delivery.start()
    end = time.monotonic() + _DEADLINE
    for delivery in deliveries:
        delivery.join(max(0.0, end - time.monotonic()))
    with state.write() as transaction:
        for delivery in deliveries:
            for arrived in list(delivery.arrived):
                _note(transaction, delivery.channel.name, arrived)
    return [delivery.sentence for delivery in deliveries if len(delivery.arrived) < len(delivery.due)]


class _Delivery(threading.Thread):
    """Sends what is due by one channel, until something does not arrive. A thread, so that it can be left behind."""

    def __init__(self, channel: Channel, due: Sequence[_Due]) -> None:
        super().__init__(name=f"notice-{channel.name}", daemon=True)
        self.channel, self.due = channel, due
        self.arrived: list[_Due] = []
        self.reason = "no answer within the time limit"

    def run(self) -> None:
        try:
            for item in self.due:
                self.channel.send(item.message)
                self.arrived.append(item)
        except NotDelivered as error:
            self.reason = str(error)
        except Exception as error:  # noqa: BLE001 - a notice must not end a cycle, and its words may hold a secret
            self.reason = f"{type(error).__name__}, which is a defect in Rollcall; please report it"

    @property
    def sentence(self) -> str:
        """Say what did not arrive, and why."""
        waiting = len(self.due) - len(self.arrived)
        number = "1 notice" if waiting == 1 else f"{waiting} notices"
        return (
            f"{number} could not be delivered by {self.channel.name} ([notice]): {self.reason}. "
            "The next cycle tries again; rollcall check --notice tries at once."
        )


def _due(transaction: Transaction, connection: Connection, channel: str, found: Troubles) -> list[_Due]:
    """Remember what is wrong now, forget what passed before anybody was told, and return what is to be sent."""
    now = datetime.now(UTC)
    for moment in (table.c.since, table.c.told_at):  # by a clock that was ahead
        transaction.execute(update(table).where(moment > now).values({moment: now}))
    known = {str(row.cause): row for row in transaction.execute(select(table).where(table.c.channel == channel))}
    upstream, due = _host_of(connection), []
    for item in found.now:
        row = known.pop(item.cause, None)
        since = now if row is None else row.since
        if row is None:
            new = {"cause": item.cause, "channel": channel, "since": now, "version": item.version}
            transaction.execute(insert(table).values(**new, text=item.headline))
        if (event := _event(item, row, now - since, now)) is not None:
            message = Message(event, item.cause, item.headline, item.details, since, item.digest, upstream)
            due.append(_Due(message, item.version))
    for cause, row in known.items():
        if cause in found.undecided:
            continue
        if row.told_at is None:
            transaction.execute(delete(table).where(_is(cause, channel)))
            continue
        headline = over(cause, connection.source_names)
        due.append(_Due(Message(Event.OVER, cause, headline, (f"It was: {row.text}",), row.since, "", upstream), ""))
    return due


def _event(item: Trouble, row: _Row | None, lasted: timedelta, now: datetime) -> Event | None:
    if row is None or row.told_at is None:
        return Event.BEGINS if lasted >= item.patience else None
    changed = row.version != item.version and now - row.told_at >= _QUIET
    return Event.CHANGED if changed else None


def _note(transaction: Transaction, channel: str, arrived: _Due) -> None:
    message, which = arrived.message, _is(arrived.message.cause, channel)
    if message.event is Event.OVER:
        transaction.execute(delete(table).where(which))
        return
    told = {"told_at": datetime.now(UTC), "version": arrived.version, "text": message.headline}
    transaction.execute(update(table).where(which).values(**told))


def _is(cause: str, channel: str) -> ColumnElement[bool]:
    return and_(table.c.cause == cause, table.c.channel == channel)


def _host_of(connection: Connection) -> str:
    return urlsplit(connection.service.url).hostname or ""
