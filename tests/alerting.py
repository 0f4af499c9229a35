"""Prometheus' alert rules, evaluated: as much of PromQL as packaging/monitoring needs to compare figures.

Instant vectors, time(), minus, comparisons, and / or / unless with `on`, brackets, and changes() of a metric over some
minutes or hours, of which there is a sample in each minute. All else is refused, rate() too.
Matching and precedence are those of https://prometheus.io/docs/prometheus/latest/querying/operators/.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Samples = Mapping[str, Vector]

_TOKEN = re.compile(r'\s*(time\(\)|[a-z_]+|\d+[mh]|\d+|==|>=|<=|[<>(){}\[\],=-]|"[^"]*")')
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


class _Evaluation:
    def __init__(self, expression: str, at: Callable[[int], Samples], minute: int) -> None:
        self._tokens = _TOKEN.findall(expression)
        assert "".join(self._tokens) == re.sub(r"\s", "", expression), f"not understood: {expression}"
        self._at, self._minute = at, minute

    def result(self) -> Vector:
        value = self._either()
        assert not self._tokens, f"not understood: {self._tokens}"
        assert isinstance(value, dict)
        return value

    def _next_is(self, *tokens: str) -> str:
        return self._tokens.pop(0) if self._tokens and self._tokens[0] in tokens else ""

    def _expect(self, token: str) -> None:
        assert self._next_is(token), f"{token} is expected before {self._tokens}"

    def _either(self) -> Vector | float:
        value = self._both()
        while self._next_is("or"):
            on = self._on()
            value = self._set_operation("or", value, self._both(), on)
        return value

    def _both(self) -> Vector | float:
        value = self._compared()
        while word := self._next_is("and", "unless"):
            on = self._on()
            value = self._set_operation(word, value, self._compared(), on)
        return value

    def _on(self) -> set[str] | None:
        if not self._next_is("on"):
            return None
        self._expect("(")
        labels = {self._tokens.pop(0)}
        while self._next_is(","):
            labels.add(self._tokens.pop(0))
        self._expect(")")
        return labels

    @staticmethod
    def _set_operation(word: str, left: Vector | float, right: Vector | float, on: set[str] | None) -> Vector:
        assert isinstance(left, dict)
        assert isinstance(right, dict)

        def matched(labels: Labels) -> Labels:
            return labels if on is None else frozenset(pair for pair in labels if pair[0] in on)

        if word == "or":
            here = {matched(labels) for labels in left}
            return left | {labels: value for labels, value in right.items() if matched(labels) not in here}
        there = {matched(labels) for labels in right}
        return {labels: value for labels, value in left.items() if (matched(labels) in there) == (word == "and")}

    def _compared(self) -> Vector | float:
        value = self._difference()
        while sign := self._next_is(*_COMPARISONS):
            compare, other = _COMPARISONS[sign], self._difference()
            assert isinstance(value, dict)
            value = {
                labels: one
                for labels, one in value.items()
                if (with_it := other.get(labels) if isinstance(other, dict) else other) is not None
                and compare(one, with_it)
            }
        return value

    def _difference(self) -> Vector | float:
        value = self._operand()
        while self._next_is("-"):
            other = self._operand()
            if isinstance(value, dict) and isinstance(other, dict):
                value = {labels: value[labels] - other[labels] for labels in value.keys() & other.keys()}
            elif isinstance(value, dict):
                assert isinstance(other, float)
                value = {labels: one - other for labels, one in value.items()}
            elif isinstance(other, dict):
                value = {labels: value - one for labels, one in other.items()}
            else:
                value -= other
        return value

    def _operand(self) -> Vector | float:
        token = self._tokens.pop(0)
        if token == "(":
            value = self._either()
            self._expect(")")
            return value
        if token == "time()":
            return self._minute * 60.0
        if token.isdecimal():
            return float(token)
        if token == "changes":
            return self._changes()
        assert token == "up" or token.startswith("rollcall_"), f"{token} is no metric"
        vector = self._at(self._minute).get(token, {})
        if self._next_is("{"):
            label, sign, value = (self._tokens.pop(0) for _ in range(3))
            assert sign == "="
            self._expect("}")
            return {labels: one for labels, one in vector.items() if (label, value.strip('"')) in labels}
        return dict(vector)

    def _changes(self) -> Vector:
        """Count how often each series changed within the range, over gaps as well, as Prometheus does."""
        self._expect("(")
        name = self._tokens.pop(0)
        self._expect("[")
        minutes = _minutes(self._tokens.pop(0))
        self._expect("]")
        self._expect(")")
        changes: Vector = {}
        last: Vector = {}
        for minute in range(max(0, self._minute - minutes), self._minute + 1):
            for labels, value in self._at(minute).get(name, {}).items():
                changes[labels] = changes.get(labels, 0.0) + (last.get(labels, value) != value)
                last[labels] = value
        return changes


def _minutes(duration: str) -> int:
    return {"m": 1, "h": 60}[duration[-1]] * int(duration[:-1])


def fires(rule: Mapping[str, Any], at: Callable[[int], Samples], minutes: int) -> list[bool]:
    """Evaluate a rule once a minute. Returns for each whether it fires for anything: after being true for its `for`."""
    patience = _minutes(rule["for"]) if "for" in rule else 0
    since: dict[Labels, int] = {}
    fired = []
    for minute in range(minutes):
        true = _Evaluation(rule["expr"], at, minute).result()
        since = {labels: since.get(labels, minute) for labels in true}
        fired.append(any(minute - began >= patience for began in since.values()))
    return fired
