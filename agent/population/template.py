"""The mapping language: templates over directory attributes.

    {mail}                         the attribute's first value
    {mail, userPrincipalName}      the first of them that has a value
    {uid | upper}                  changed by a function; several may follow one another
    {givenName} {sn}               text outside of braces stands as it is; {{ and }} are braces

Functions: lower, upper, trim, local (what stands before the @), domain (what stands after it), first(n) (the first n
characters), replace(old, new), default(text). Texts with a comma, a bar or a bracket stand in "double quotes".

A template all of whose braces are empty gives nothing at all, and then the attribute is not sent. White space at
the ends is dropped, and runs of it become one blank. Nothing in a template is ever executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Attributes = Mapping[str, tuple[str, ...]]
Function = Callable[[str], str]

_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9.-]*(;[A-Za-z0-9-]+)*")
_CALL = re.compile(r"\s*([a-z]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_ARGUMENT = re.compile(r'\s*(?:"([^"]*)"|([^",()|]*))\s*')


class TemplateError(ValueError):
    """A template that cannot be understood; the text says where and what to write instead."""


@dataclass(frozen=True, slots=True)
class _Field:
    attributes: tuple[str, ...]
    functions: tuple[Function, ...]

    def value(self, attributes: Attributes) -> str:
        found = next((values[0] for key in self.attributes if (values := attributes.get(key)) and values[0]), "")
        for function in self.functions:
            found = function(found)
        return found


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `attributes` are the lower-case attribute types it looks at."""

    text: str
    parts: tuple[str | _Field, ...]

    @property
    def attributes(self) -> frozenset[str]:
        """The attribute types the directory has to be asked for."""
        return frozenset(key for part in self.parts if isinstance(part, _Field) for key in part.attributes)

    def looked_at(self, attributes: Attributes) -> tuple[str, ...]:
        """Return the attribute types that decide: in each brace those up to the first that has a value."""
        found: dict[str, None] = {}
        for part in self.parts:
            for key in part.attributes if isinstance(part, _Field) else ():
                found[key] = None
                if (values := attributes.get(key)) and values[0]:
                    break
        return tuple(found)

    def value(self, attributes: Attributes) -> str:
        """Fill in the template; an empty text means that there is nothing to send."""
        filled = [part if isinstance(part, str) else part.value(attributes) for part in self.parts]
        fields = [text for text, part in zip(filled, self.parts, strict=True) if isinstance(part, _Field)]
        if fields and not any(fields):
            return ""
        return " ".join("".join(filled).split())

    def whole(self, attributes: Attributes) -> str:
        """Fill in the template, but only if every brace has something: half a name tells nobody from another."""
        fields = [part for part in self.parts if isinstance(part, _Field)]
        return self.value(attributes) if all(part.value(attributes).strip() for part in fields) else ""


def parse(text: str) -> Template:
    """Parse a template. Raises TemplateError."""
    parts: list[str | _Field] = []
    literal: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if text[position : position + 2] in {"{{", "}}"}:
            literal.append(character)
            position += 2
        elif character == "{":
            end = _closing(text, position)
            if literal:
                parts.append("".join(literal))
                literal = []
            parts.append(_field(text[position + 1 : end]))
            position = end + 1
        elif character == "}":
            raise TemplateError(f'"{text}": the }} at character {position + 1} closes nothing; write }}}} for a brace')
        else:
            literal.append(character)
            position += 1
    if literal:
        parts.append("".join(literal))
    return Template(text, tuple(parts))


def _closing(text: str, start: int) -> int:
    quoted = False
    for position in range(start + 1, len(text)):
        if text[position] == '"':
            quoted = not quoted
        elif text[position] == "}" and not quoted:
            return position
    raise TemplateError(f'"{text}": the {{ at character {start + 1} is never closed; add a }}')


def _split(text: str, separator: str) -> list[str]:
    pieces, quoted = [""], False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


def _field(text: str) -> _Field:
    names, *calls = _split(text, "|")
    attributes = tuple(name.strip() for name in names.split(","))
    for attribute in attributes:
        if not _ATTRIBUTE.fullmatch(attribute):
            raise TemplateError(
                f'"{{{text}}}": "{attribute}" is not an attribute type; write it like {{mail}} or {{mail, uid}}'
            )
    return _Field(tuple(name.lower() for name in attributes), tuple(_function(call, text) for call in calls))


def _function(call: str, text: str) -> Function:
    match = _CALL.fullmatch(call)
    name = match[1] if match else call.strip()
    arguments = [] if match is None or match[2] is None else _arguments(match[2], text)
    if match is not None and name in _FUNCTIONS:
        count, make = _FUNCTIONS[name]
        if len(arguments) != count:
            raise TemplateError(f'"{{{text}}}": {name} takes {count} values in brackets, found {len(arguments)}')
        try:
            return make(*arguments)
        except ValueError as error:
            raise TemplateError(f'"{{{text}}}": {name}: {error}') from None
    raise TemplateError(f'"{{{text}}}": there is no function "{name}"; there are {", ".join(sorted(_FUNCTIONS))}')


def _arguments(text: str, whole: str) -> list[str]:
    values = []
    for piece in _split(text, ","):
        match = _ARGUMENT.fullmatch(piece)
        if match is None:
            raise TemplateError(f'"{{{whole}}}": put "{piece.strip()}" in double quotes')
        values.append(match[1] if match[1] is not None else match[2].strip())
    return values


def _first(count: str) -> Function:
    if not count.isdigit() or int(count) == 0:
        raise ValueError(f'"{count}" is not a number of characters')
    return lambda value: value[: int(count)]


def _replace(old: str, new: str) -> Function:
    if not old:
        raise ValueError("the text to replace is empty")
    return lambda value: value.replace(old, new)


_FUNCTIONS: dict[str, tuple[int, Callable[..., Function]]] = {
    "lower": (0, lambda: str.lower),
    "upper": (0, lambda: str.upper),
    "trim": (0, lambda: str.strip),
    "local": (0, lambda: lambda value: value.rpartition("@")[0]),
    "domain": (0, lambda: lambda value: value.rpartition("@")[2] if "@" in value else ""),
    "first": (1, _first),
    "replace": (2, _replace),
    "default": (1, lambda text: lambda value: value or text),
}
