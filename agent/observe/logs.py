"""Logs: readable on a terminal, one JSON object a line elsewhere, always on standard error.

Secrets cannot reach them: every secret that the settings hold is registered here, and whatever contains one is
written with asterisks instead, whoever logged it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_MASK = "********"
# All there ever were: what is still under way with old settings when new ones are loaded may tell the old secrets.
_secrets: set[str] = set()
# At debug level these would write requests and answers whole.
_QUIET = ("httpx", "httpcore", "ldap3", "alembic", "apscheduler", "sqlalchemy")


def configure_logs(style: Literal["auto", "console", "json"], level: str, secrets: Iterable[str] = ()) -> None:
    """Set up structlog and the standard library's logging. May be called again with new settings."""
    _secrets.update(secret for secret in secrets if secret)
    readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if readable
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Mask(_secrets),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_StandardError(),
        cache_logger_on_first_use=False,
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)


class _StandardError:
    """Writes to whatever sys.stderr is at that moment, so that a redirection takes effect."""

    def __call__(self, *_args: object) -> WrappedLogger:
        return structlog.PrintLogger(file=sys.stderr)


class _Mask:
    """Replaces every registered secret in every text of an event, at any depth."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: object) -> object:
        if isinstance(value, dict):
            return {key: self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        text = str(value)
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text
