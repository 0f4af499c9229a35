"""What is wrong with the settings, told to people: the file, the key, the value and what to write instead."""

from __future__ import annotations

import difflib
import os
import re
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError


def describe_problems(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """Tell each problem in one line: the key, what is wrong, and what to do. Values are shown, secrets never."""
    lines = []
    problems = error.errors(include_url=False)
    below = {problem["loc"][:-1] for problem in problems}
    for problem in problems:
        if problem["type"] == "too_short" and problem["loc"] in below:
            continue  # a list is too short only because its wrong items were left out
        key = ".".join(str(part) for part in problem["loc"]) or "the file"
        lines.append(f"{where}: {key}: {_sentence(problem, model)}")
    return "\n".join(lines)


def _sentence(problem: ErrorDetails, model: type[BaseModel]) -> str:
    kind, key = problem["type"], str(problem["loc"][-1]) if problem["loc"] else ""
    if kind == "missing":
        return "is missing; agent.example.toml shows how it is written."
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(key, _keys_beside(problem["loc"], model), n=1)
        return "is not a setting" + (f'; did you mean "{close[0]}"?' if close else "; remove it.")
    message = problem["msg"].removeprefix("Value error, ")
    if kind in _PLAIN:
        return _PLAIN[kind]
    secret = any(word in key for word in ("password", "token", "secret", "webhook"))
    shown = "" if secret or isinstance(problem["input"], dict | list) else f" (found {problem['input']!r})"
    return f"{message[:1].lower()}{message[1:]}{shown}."


_PLAIN = {
    "too_short": "is empty; name at least one.",
    "tuple_type": 'is a list: write ["…", "…"], and a source as a table under [[sources]].',
    "path_type": "is the path of a file: write it as a text in quotes.",
    "string_type": "is a text: write it in quotes.",
    "dict_type": "is a table: write its keys under a heading in brackets.",
}


def describe_environment(error: SettingsError) -> str:
    """Name the variables of the section that pydantic-settings could not parse; it does not say which one it was."""
    match = re.search(r'field "(\w+)"', str(error))
    beginning = f"ROLLCALL_{match[1] if match else ''}".upper()
    names = sorted(name for name in os.environ if name.upper().startswith(beginning))
    return (
        f"The environment variable {' or '.join(names)} cannot be understood. Write a list or a table as JSON, like "
        """'["name:app-*"]', or take the variable away."""
    )


def _keys_beside(location: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    current: type[BaseModel] = model
    for part in location[:-1]:
        field = current.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        current = field.annotation
    return [field.alias or name for name, field in current.model_fields.items()]
