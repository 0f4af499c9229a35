"""Values as an administrator writes them, and what every section of the settings has in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator

_DURATION = re.compile(r"(\d{1,9})\s*(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=365_000)
_SIZE = re.compile(r"(\d{1,9})\s*(kB|MB|GB)", re.ASCII)
_BYTES = {"kB": 1000, "MB": 1000**2, "GB": 1000**3}


def parse_duration(value: object) -> object:
    """Read a time like "5m". Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError('write a whole number above zero and its unit, like "30s", "5m", "12h" or "7d"')
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > _LONGEST:
        raise ValueError("write a time of less than a thousand years")
    return duration


def _parse_share(value: object) -> object:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip()) if isinstance(value, str) else None
    if match is None or not 0 <= float(match[1]) <= 100:  # noqa: PLR2004 - a hundred per cent
        raise ValueError('write a share as a text like "5%"')
    return float(match[1]) / 100


def _parse_size(value: object) -> object:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError('write a whole number above zero and its unit, like "500kB", "50MB" or "1GB"')
    return int(match[1]) * _BYTES[match[2]]


def _duration_or(word: str) -> Callable[[object], object]:
    def parse(value: object) -> object:
        if value == word:
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            raise ValueError(f'{error}, or else "{word}"') from None

    return parse


def _no_truth(value: object) -> object:
    """To Python a truth value is a number as well."""
    if isinstance(value, bool):
        raise ValueError("write a whole number")  # noqa: TRY004 - what pydantic takes for a wrong value
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
# Not a union of two validated types: each would tell of the same error, under a key of its own.
DurationOrNever = Annotated[timedelta | Literal["never"], BeforeValidator(_duration_or("never"))]
DurationOrForEver = Annotated[timedelta | Literal["for ever"], BeforeValidator(_duration_or("for ever"))]
Whole = Annotated[int, BeforeValidator(_no_truth)]
Share = Annotated[float, BeforeValidator(_parse_share)]
Size = Annotated[int, BeforeValidator(_parse_size)]


class Section(BaseModel):
    """A section of the settings."""

    model_config = {"extra": "forbid", "frozen": True}
